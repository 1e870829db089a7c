//! The codec of all methods.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::{Message, Name};
use tokio::runtime::{Handle, RuntimeFlavor};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::plan;
use super::refused::Refused;
use super::scope::Call;
use super::walk::elements_bytes;

/// What a message of so few bytes becomes is bounded by that: some 750 bytes for each two of them.
const SMALL_BYTES: usize = 4 << 10;
/// A longer message is decoded where it holds up nobody.
const INLINE_BYTES_MAX: usize = 64 << 10;

/// Reads requests within their bounds, and everything else as prost does.
#[derive(Debug)]
pub struct RequestCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for RequestCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for RequestCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = RequestDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder::new()
    }
}

/// Reads messages, and requests within the bounds of the call that is being answered.
#[derive(Debug)]
pub struct RequestDecoder<U> {
    call: Arc<Call>,
    message: PhantomData<U>,
}

impl<U> RequestDecoder<U> {
    /// A decoder for the call that is being answered.
    pub fn new() -> Self {
        Self { call: Call::current(), message: PhantomData }
    }
}

impl<U> Default for RequestDecoder<U> {
    fn default() -> Self {
        Self::new()
    }
}

impl<U: Message + Name + Default> Decoder for RequestDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let length = buffer.remaining();
        let bytes = buffer.copy_to_bytes(length);
        if length <= INLINE_BYTES_MAX {
            return Ok(Some(self.read(bytes)?));
        }
        Ok(Some(apart(|| self.read(bytes))?))
    }
}

impl<U: Message + Name + Default> RequestDecoder<U> {
    fn read(&self, bytes: Bytes) -> Result<U, Status> {
        let Some((plan, request)) = plan::of_request(U::NAME) else {
            return U::decode(bytes).map_err(|error| Status::internal(error.to_string()));
        };
        if bytes.len() > SMALL_BYTES {
            let bytes_max = self.call.bounds.bytes_max(U::NAME);
            if bytes.len() > bytes_max {
                return Err(Refused::TooLong { bytes: bytes.len(), bytes_max }.into());
            }
            let elements = elements_bytes(&bytes, plan, request, &self.call.bounds)?;
            self.call.hold(bytes.len() + elements)?;
        }
        U::decode(bytes).map_err(|error| Refused::Malformed(error.to_string()).into())
    }
}

/// Does what takes a while. Where there are other workers, they take over this one's other tasks.
fn apart<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
