//! Reads kept originals, which the server sends in chunks.

use bytes::Bytes;
use tonic::Status;

use crate::client::Client;
use crate::wire::pb;
use pb::read_original_response::Part;

/// Reads the original of a revision that has one, and calls `handle` with each chunk in order.
pub async fn read<E: From<Status>>(
    client: &Client,
    name: String,
    as_of: Option<pb::AsOf>,
    mut handle: impl FnMut(Bytes) -> Result<(), E>,
) -> Result<(), E> {
    let request = pb::ReadOriginalRequest { name, as_of, min_next_seq: 0 };
    let mut parts = client.archive.clone().read_original(request).await?.into_inner();
    while let Some(part) = parts.message().await? {
        if let Some(Part::Data(data)) = part.part {
            handle(data)?;
        }
    }
    Ok(())
}
