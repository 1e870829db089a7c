//! Checkpoints: what a log says of itself at a moment, as the text of a signed note.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::model::TreeHash;

/// The size and root of the tree of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// How many changes the log had.
    pub size: u64,
    /// The root of its tree.
    pub root: TreeHash,
}

/// The text is not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a checkpoint")]
pub struct CheckpointError;

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root.0))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads a checkpoint. Lines after the root are extensions, which are ignored.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError)?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError);
        let (origin, digits, root) = (line()?, line()?, line()?);
        let size: u64 = digits.parse().map_err(|_| CheckpointError)?;
        // Without a sign and without leading zeros, so that a checkpoint has one text.
        if size.to_string() != digits {
            return Err(CheckpointError);
        }
        let root = BASE64.decode(root.as_bytes()).ok().and_then(|root| root.try_into().ok()).ok_or(CheckpointError)?;
        Ok(Self { origin: origin.to_owned(), size, root: TreeHash(root) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let checkpoint =
            Checkpoint { origin: "example.org/news".to_owned(), size: 42, root: TreeHash::of_leaf(b"a leaf") };
        let text = checkpoint.to_string();
        assert_eq!(text.parse(), Ok(checkpoint.clone()));
        assert_eq!(format!("{text}an extension\n").parse(), Ok(checkpoint));
        for broken in
            [text.replace("42", "042"), text.replace("42", "+42"), text.replace("42\n", ""), text.replace('=', "")]
        {
            assert_eq!(broken.parse::<Checkpoint>(), Err(CheckpointError), "{broken}");
        }
    }
}
