//! The header of a record: its version, and its fields by name.

/// What a record says of itself.
#[derive(Debug, Default)]
pub(super) struct Header(Vec<(String, String)>);

impl Header {
    /// Reads the lines of a header, the version first. A line that begins with a blank goes on with the field before it.
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
        Ok(Self(fields))
    }

    /// A field by its name in lower case; empty where it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A field that holds an address. Some writers put it between `<` and `>`, as the first standard had it.
    pub(super) fn address(&self, name: &str) -> &str {
        let address = self.field(name);
        address.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(address)
    }

    /// How many bytes the record's block has.
    pub(super) fn length(&self) -> Result<u64, String> {
        let length = self.field("content-length");
        if length.is_empty() {
            return Err("it does not say how long it is (Content-Length)".to_owned());
        }
        length.parse().map_err(|_| format!("its Content-Length is no number: {length:?}"))
    }
}
