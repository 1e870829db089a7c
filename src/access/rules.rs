//! The rules: principals, how each is recognised, and what each may do. They are a TOML file, which operators may edit.
//!
//! ```toml
//! [[principal]]
//! name = "crawler"
//! token = "sha256:5e0f…"               # made by `dateline token create`
//! expires = 2027-03-01
//! grant = [{ may = ["read", "write"], sources = ["courier", "gazette-*"] }]
//!
//! [[principal]]
//! name = "index"
//! san = ["spiffe://news.example/index"]  # a name in its client certificate
//! grant = [{ may = ["read", "subscribe"], sources = ["*"] }]
//!
//! [[principal]]
//! name = "anonymous"                     # visitors of the web pages
//! grant = [{ may = ["read"], sources = ["courier"] }]
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use super::principal::{ANONYMOUS, OWNER};
use super::token::TokenDigest;
use super::{Permission, Principal};
use crate::model::{PrincipalName, SourcePattern, SourceScope, Timestamp};

/// The longest rules that are read, in bytes.
pub(super) const RULES_BYTES_MAX: u64 = 4 << 20;

/// The rules of an archive.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    principals: Vec<Arc<Principal>>,
    by_name: HashMap<PrincipalName, Arc<Principal>>,
    by_token: HashMap<TokenDigest, Arc<Principal>>,
    by_san: HashMap<String, Arc<Principal>>,
    anonymous: Option<Arc<Principal>>,
}

/// Why rules cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {detail}")]
pub struct RulesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub detail: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    principal: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    token: Option<Spanned<String>>,
    #[serde(default)]
    san: Vec<Spanned<String>>,
    expires: Option<Spanned<Datetime>>,
    calls_per_second_max: Option<u32>,
    streams_max: Option<u32>,
    #[serde(default)]
    grant: Vec<Grant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    may: Vec<Spanned<String>>,
    sources: Vec<Spanned<String>>,
}

impl Rules {
    /// Parses a rules file.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let line_of = |offset: usize| text.get(..offset).unwrap_or_default().matches('\n').count() + 1;
        let file: File = toml::from_str(text).map_err(|error| RulesError {
            line: error.span().map_or(1, |span| line_of(span.start)),
            detail: error.message().to_owned(),
        })?;
        let mut rules = Self::default();
        for entry in file.principal {
            let at = |span: std::ops::Range<usize>, detail: String| RulesError { line: line_of(span.start), detail };
            let mut principal = entry.principal(&at)?;
            if let Some(token) = &entry.token {
                let malformed = || at(token.span(), "a token is kept as sha256: and 64 hexadecimal digits".to_owned());
                principal.token = Some(TokenDigest::parse(token.get_ref()).ok_or_else(malformed)?);
            }
            principal.sans = entry.san.iter().map(|san| san.get_ref().clone()).collect();
            let principal = Arc::new(principal);
            if principal.name.as_str() == ANONYMOUS {
                let has_credentials = entry.token.is_some() || !entry.san.is_empty();
                let reads_only = principal.grants.keys().all(|permission| *permission == Permission::Read);
                if has_credentials || !reads_only {
                    let detail = format!(
                        "{ANONYMOUS:?} stands for visitors of the web pages: it has no credentials, and may only read"
                    );
                    return Err(at(entry.name.span(), detail));
                }
                rules.anonymous = Some(Arc::clone(&principal));
            }
            if principal.name.as_str() == OWNER {
                return Err(at(entry.name.span(), format!("{OWNER:?} is the owner of the archive's files")));
            }
            if rules.by_name.insert(principal.name.clone(), Arc::clone(&principal)).is_some() {
                return Err(at(entry.name.span(), format!("a second principal {:?}", principal.name.as_str())));
            }
            if let Some((token, digest)) = entry.token.zip(principal.token)
                && rules.by_token.insert(digest, Arc::clone(&principal)).is_some()
            {
                return Err(at(token.span(), "another principal has this token".to_owned()));
            }
            for san in entry.san {
                let span = san.span();
                if rules.by_san.insert(san.into_inner(), Arc::clone(&principal)).is_some() {
                    return Err(at(span, "another principal has this name in its certificate".to_owned()));
                }
            }
            rules.principals.push(principal);
        }
        Ok(rules)
    }

    /// The principals, in the order of the file.
    pub fn principals(&self) -> &[Arc<Principal>] {
        &self.principals
    }

    /// The principal with this token.
    pub(super) fn with_token(&self, token: TokenDigest) -> Option<&Arc<Principal>> {
        self.by_token.get(&token)
    }

    /// The principal that one of the names of a certificate belongs to.
    pub(super) fn with_san(&self, sans: &[String]) -> Option<&Arc<Principal>> {
        sans.iter().find_map(|san| self.by_san.get(san))
    }

    /// The principal that stands for visitors of the web pages, if the rules have it.
    pub(super) fn anonymous(&self) -> Option<&Arc<Principal>> {
        self.anonymous.as_ref()
    }

    /// The principal with this name.
    pub(super) fn named(&self, name: &PrincipalName) -> Option<&Arc<Principal>> {
        self.by_name.get(name)
    }
}

impl Entry {
    fn principal(&self, at: &impl Fn(std::ops::Range<usize>, String) -> RulesError) -> Result<Principal, RulesError> {
        let name = PrincipalName::parse(self.name.get_ref());
        let name = name.map_err(|error| at(self.name.span(), error.to_string()))?;
        let mut patterns: BTreeMap<Permission, Vec<SourcePattern>> = BTreeMap::new();
        for grant in &self.grant {
            let mut sources = Vec::with_capacity(grant.sources.len());
            for source in &grant.sources {
                let malformed = || {
                    at(
                        source.span(),
                        format!("{:?} is neither a source, nor the beginning of sources and *", source.get_ref()),
                    )
                };
                sources.push(SourcePattern::parse(source.get_ref()).ok_or_else(malformed)?);
            }
            for permission in &grant.may {
                let unknown = || {
                    let known = Permission::ALL.map(Permission::as_str).join(", ");
                    at(permission.span(), format!("{:?} is not one of {known}", permission.get_ref()))
                };
                let parsed = Permission::parse(permission.get_ref()).ok_or_else(unknown)?;
                patterns.entry(parsed).or_default().extend(sources.iter().cloned());
            }
        }
        let expires = self.expires.as_ref().map(|expires| {
            let time = instant(expires.get_ref());
            time.ok_or_else(|| {
                at(expires.span(), "a date, such as 2027-03-01, or an instant with Z or an offset".to_owned())
            })
        });
        Ok(Principal {
            name,
            grants: patterns
                .into_iter()
                .map(|(permission, patterns)| (permission, SourceScope::of(patterns)))
                .collect(),
            token: None,
            sans: Vec::new(),
            expires: expires.transpose()?,
            // 0 is any number, as in the contract.
            calls_per_second_max: self.calls_per_second_max.filter(|max| *max > 0),
            streams_max: self.streams_max.filter(|max| *max > 0),
        })
    }
}

/// An instant; a date is its first one in UTC. `None` for a local time.
fn instant(datetime: &Datetime) -> Option<Timestamp> {
    let text = match (datetime.date, datetime.time, datetime.offset) {
        (Some(date), None, None) => format!("{date}T00:00:00Z"),
        (Some(_), Some(_), Some(_)) => datetime.to_string(),
        _ => return None,
    };
    text.parse::<jiff::Timestamp>().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SourceId;

    const DIGEST: &str = "sha256:5e0f3bd2aa5bfb3c7a9a3d5a3a0ce37c4e0a2b3c1d5e6f708192a3b4c5d6e7f8";

    #[test]
    fn rules_say_who_may_do_what_where() {
        let rules = Rules::parse(&format!(
            r#"
            [[principal]]
            name = "crawler"
            token = "{DIGEST}"
            expires = 2027-03-01
            grant = [{{ may = ["write", "read"], sources = ["courier", "gazette-*"] }}, {{ may = ["mark"], sources = ["courier"] }}]

            [[principal]]
            name = "index"
            san = ["spiffe://news.example/index"]
            calls_per_second_max = 20
            streams_max = 4
            grant = [{{ may = ["read"], sources = ["*"] }}]
            "#
        ));
        let rules = rules.unwrap();
        let source = |id: &str| SourceId::parse(id).unwrap();
        let crawler = rules.with_token(TokenDigest::parse(DIGEST).unwrap()).unwrap();
        assert!(crawler.may(Permission::Write, &source("gazette-north")));
        assert!(
            !crawler.may(Permission::Write, &source("gazette")) && !crawler.may(Permission::Mark, &source("gazette-x"))
        );
        assert_eq!(crawler.scope(Permission::Admin), None);
        assert_eq!(crawler.expires.unwrap().to_string(), "2027-03-01T00:00:00Z");
        let index = rules.with_san(&["index.example".to_owned(), "spiffe://news.example/index".to_owned()]).unwrap();
        assert!(index.may_everywhere(Permission::Read) && index.calls_per_second_max == Some(20));
        assert_eq!(index.streams_max, Some(4));
        assert_eq!(rules.principals().len(), 2);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        let cases = [
            ("[[principal]]\nname = \"a b\"", 2, "the character ' '"),
            ("[[principal]]\nname = \"owner\"", 2, "the owner"),
            ("[[principal]]\nname = \"a\"\n[[principal]]\nname = \"a\"", 4, "a second principal"),
            ("[[principal]]\nname = \"a\"\ntoken = \"dln_secret\"", 3, "sha256:"),
            ("[[principal]]\nname = \"a\"\ngrant = [{ may = [\"reed\"], sources = [] }]", 3, "not one of read, write"),
            ("[[principal]]\nname = \"a\"\ngrant = [{ may = [\"read\"], sources = [\"a*b\"] }]", 3, "neither a source"),
            ("[[principal]]\nname = \"a\"\nexpires = 2027-03-01T10:00:00", 3, "a date"),
            (
                "[[principal]]\nname = \"a\"\nsan = [\"x\"]\n[[principal]]\nname = \"b\"\nsan = [\"x\"]",
                6,
                "another principal",
            ),
            ("[[principal]]\nname = \"anonymous\"\nsan = [\"x\"]", 2, "no credentials"),
            (
                "[[principal]]\nname = \"anonymous\"\ngrant = [{ may = [\"write\"], sources = [\"a\"] }]",
                2,
                "may only read",
            ),
            ("[[principal]]\nnmae = \"a\"", 2, "unknown field"),
            ("[[principal]", 1, ""),
        ];
        for (text, line, detail) in cases {
            let error = Rules::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.detail.contains(detail), "{text}: {error}");
        }
        assert_eq!(Rules::parse("").unwrap().principals(), []);
    }
}
