//! The header of a record: a version line, then named fields.

/// The header of a record.
#[derive(Debug)]
pub(super) struct Header {
    /// The fields in order, with names in lower case.
    fields: Vec<(String, String)>,
    /// The length of the record's block in bytes, as stated.
    pub(super) block_bytes: u64,
}

impl Header {
    /// Parses the lines of a header, skipping the version line. A line that starts with white space continues the field
    /// before it.
    pub(super) fn read(lines: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(lines);
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push(' ');
                    value.push_str(line.trim());
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(format!(
                    "its header has a line without a colon: {:?}",
                    line.chars().take(80).collect::<String>()
                ));
            };
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut header = Self { fields, block_bytes: 0 };
        header.block_bytes = header.content_length()?;
        Ok(header)
    }

    /// Looks up a field by its lower-case name; empty if it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// Looks up a field that contains a URL. Some writers put the URL between `<` and `>`, as WARC 1.0 specified.
    pub(super) fn address(&self, name: &str) -> &str {
        let address = self.field(name);
        address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address)
    }

    fn content_length(&self) -> Result<u64, String> {
        let length = self.field("content-length");
        if length.is_empty() {
            return Err("its header has no Content-Length".to_owned());
        }
        length.parse().map_err(|_| format!("its Content-Length is not a number: {length:?}"))
    }
}
