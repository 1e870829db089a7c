//! The handler of `IntegrityService`: checkpoints and proofs.

use tonic::{Request, Response, Status};

use super::caller::Caller;
use super::checkpoints::SignedCheckpoint;
use super::status::Refusal;
use super::{Context, RpcResult};
use crate::access::Permission;
use crate::archive::read::article::View;
use crate::archive::read::proof::ProvenChange;
use crate::model::leaf::{Group, LeafFields};
use crate::model::name::parse_revision_name;
use crate::model::{AsOf, Seq, TreeHash};
use crate::proof::{Disclosure, Note, ProofFile, Shown};
use crate::wire::pb::get_inclusion_proof_request::Change;
use crate::wire::pb::integrity_service_server::IntegrityService;
use crate::wire::{FieldError, pb};

/// The handler of `IntegrityService`.
#[derive(Clone)]
pub struct IntegrityHandler(pub Context);

impl IntegrityHandler {
    /// A checkpoint of a tree of at least `size` changes, which must be durable.
    async fn signed(&self, size: u64) -> Result<SignedCheckpoint, Refusal> {
        Ok(self.0.signer()?.checkpoint(&self.0.archive, size).await?)
    }

    /// The newest cosigned checkpoint, which must have at least `size` changes.
    async fn cosigned(&self, size: u64) -> Result<SignedCheckpoint, Refusal> {
        let newest = self.0.signer()?.newest_cosigned(&self.0.archive).await?;
        let has_size = newest.filter(|newest| newest.checkpoint.size >= size);
        has_size.ok_or_else(|| Refusal::checkpoint_not_cosigned(size))
    }

    /// The earliest cosigned checkpoint that has at least `size` changes.
    async fn first_cosigned(&self, size: u64) -> Result<SignedCheckpoint, Refusal> {
        let first = self.0.signer()?.first_cosigned(&self.0.archive, size).await?;
        first.ok_or_else(|| Refusal::checkpoint_not_cosigned(size))
    }

    /// The position of the change that is to be proved.
    async fn position(&self, caller: &Caller, change: Option<Change>) -> Result<Seq, Refusal> {
        match change {
            Some(Change::Seq(seq)) => Ok(Seq(seq)),
            Some(Change::Revision(name)) => {
                let name = parse_revision_name(&name).map_err(|error| FieldError::invalid("revision", error));
                let (article, selector) = name?;
                caller.require(Permission::Read, &article.source)?;
                let point = self.0.archive.read_point(AsOf::default(), Seq::ZERO).await?;
                let revision = self.0.archive.revision(point, article, selector, View::Basic).await?;
                Ok(revision.created_by.seq)
            }
            None => Err(FieldError::invalid("change", "is required: give a revision or a seq").into()),
        }
    }
}

#[tonic::async_trait]
impl IntegrityService for IntegrityHandler {
    async fn get_checkpoint(&self, request: Request<pb::GetCheckpointRequest>) -> RpcResult<pb::GetCheckpointResponse> {
        let pb::GetCheckpointRequest { min_tree_size: size, cosigned } = request.into_inner();
        self.0.visible(size).await?;
        let signed = if cosigned { self.cosigned(size).await? } else { self.signed(size).await? };
        Ok(Response::new(pb::GetCheckpointResponse { checkpoint: Some((&signed).into()) }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> RpcResult<pb::GetInclusionProofResponse> {
        let caller = Caller::of(&request);
        let request = request.into_inner();
        let disclosure = match request.disclosure() {
            pb::ProofDisclosure::Unspecified | pb::ProofDisclosure::Full => Disclosure::Full,
            pb::ProofDisclosure::Withheld => Disclosure::Withheld,
        };
        self.0.visible(request.min_tree_size).await?;
        let seq = self.position(&caller, request.change).await?;
        let end = self.0.archive.tree().size();
        if seq.0 >= end {
            let problem = format!("must be below the size of the tree, which is {end}");
            return Err(Refusal::from(FieldError::invalid("seq", problem)).into());
        }
        let least = request.min_tree_size.max(seq.next().0);
        let signed = match request.cosigned {
            true => self.first_cosigned(least).await?,
            false => self.signed(least).await?,
        };
        let (tree, size) = (self.0.archive.tree(), signed.checkpoint.size);
        let proven = self.0.archive.prove(tree, size, seq, disclosure == Disclosure::Full).await;
        let proven = proven.map_err(Refusal::from)?;
        // For a position, a refusal must not say which source has the change.
        if caller.require(Permission::Read, &proven.change.entry.name.source).is_err() {
            return Err(Refusal::permission_denied(Permission::Read, "sources/-").into());
        }
        if proven.root != signed.checkpoint.root {
            return Err(Refusal::internal().into());
        }
        let hashes = proven.proof.iter().map(|hash| hash.0.to_vec()).collect();
        let leaf_hash = proven.leaf.0.to_vec();
        let proof = proof_file(proven, disclosure, signed.note.clone()).to_string();
        let checkpoint = Some((&signed).into());
        Ok(Response::new(pb::GetInclusionProofResponse { proof, seq: seq.0, leaf_hash, hashes, checkpoint }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> RpcResult<pb::GetConsistencyProofResponse> {
        let pb::GetConsistencyProofRequest { from_size, to_size } = request.into_inner();
        let tree = self.0.archive.tree();
        let to_size = to_size.unwrap_or(tree.size());
        let invalid = |field, problem: String| Status::from(Refusal::from(FieldError::invalid(field, problem)));
        if to_size > tree.size() {
            return Err(invalid("to_size", format!("must be at most the size of the tree, which is {}", tree.size())));
        }
        if from_size > to_size {
            return Err(invalid("from_size", format!("must be at most to_size, which is {to_size}")));
        }
        let proven = self.0.archive.prove_continuation(tree, from_size, to_size).await.map_err(Refusal::from)?;
        let bytes = |hash: &TreeHash| hash.0.to_vec();
        Ok(Response::new(pb::GetConsistencyProofResponse {
            from_root_hash: bytes(&proven.from_root),
            to_size,
            to_root_hash: bytes(&proven.to_root),
            hashes: proven.proof.iter().map(bytes).collect(),
        }))
    }

    async fn list_log_keys(&self, _request: Request<pb::ListLogKeysRequest>) -> RpcResult<pb::ListLogKeysResponse> {
        let keys = self.0.signer.iter().flat_map(|signer| signer.verifiers()).map(|verifier| pb::LogKey {
            verifier_key: verifier.to_string(),
            origin: verifier.name().to_owned(),
            public_key: verifier.public_key().to_vec(),
        });
        Ok(Response::new(pb::ListLogKeysResponse { keys: keys.collect() }))
    }
}

/// The proof of a change as a file.
fn proof_file(proven: ProvenChange, disclosure: Disclosure, note: Note) -> ProofFile {
    let ProvenChange { change, attributes, commitments, proof, content, .. } = proven;
    let entry = &change.entry;
    let mut shown = Shown::new(LeafFields::of(change.seq, entry));
    for (group, commitment) in commitments.groups() {
        let new_revision = entry.new_revision.as_deref();
        let data = match group {
            Group::Name => Some(entry.name.to_string().into_bytes()),
            Group::Attributes => Some(attributes.clone()),
            Group::Content => new_revision.map(|revision| revision.digest.0.to_vec()),
            Group::Original => new_revision.and_then(|revision| Some(revision.original.as_ref()?.sha256.to_vec())),
        };
        // Of what was destroyed, the commitment is left.
        match data.zip(entry.salt_of(group)).filter(|_| disclosure == Disclosure::Full) {
            Some((data, salt)) => shown.show(group, salt, &data),
            None => shown.withhold(group, commitment),
        }
    }
    if let Some(content) = content {
        shown.show_content(&content);
    }
    ProofFile { shown, proof, note }
}
