//! Parses robots.txt (RFC 9309) and finds the rule that decides about a path.
//!
//! We do not use a crate for two reasons. This parser reports the line of the deciding rule, which a person needs to
//! check a refusal. And lines that the RFC does not define, such as Crawl-delay, do not split the user agents of a
//! group.

use super::pattern::{Pattern, normalise};

/// The rules of a site's robots.txt that apply to us. The default has none and allows everything.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    allow: bool,
    pattern: Pattern,
    /// The pattern as written.
    text: String,
    /// The line of the file, from 1.
    line: usize,
}

/// A rule that forbids fetching a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disallowed {
    /// The pattern as written, without `Disallow:`.
    pub text: String,
    /// The line of the file, from 1.
    pub line: usize,
}

impl Rules {
    /// Reads the groups for `product`, or those for `*` if there are none. Lines that are not understood are skipped,
    /// so any bytes are valid input: an HTML page that says "not found" has no rules.
    pub fn read(bytes: &[u8], product: &str) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let (mut own, mut others) = (Vec::new(), Vec::new());
        // Whether any group names `product`; then, about the current group: whether it names `product`, whether it
        // names `*`, and whether its list of user agents has ended. The first user-agent line starts a group.
        let (mut has_own_group, mut for_own, mut for_all, mut in_rules) = (false, false, false, true);
        for (index, line) in lines(text).enumerate() {
            let line_without_comment = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line_without_comment.split_once(':') else { continue };
            let value = value.trim();
            let allow = match key.trim().to_ascii_lowercase().as_str() {
                "user-agent" => {
                    // A user-agent line after a rule starts a new group; several in a row share one.
                    if std::mem::take(&mut in_rules) {
                        (for_own, for_all) = (false, false);
                    }
                    for_own |= product_token(value).eq_ignore_ascii_case(product);
                    for_all |= value.split_whitespace().next() == Some("*");
                    has_own_group |= for_own;
                    continue;
                }
                "allow" => true,
                "disallow" => false,
                _ => continue,
            };
            in_rules = true;
            if value.is_empty() || !(for_own || for_all) {
                continue;
            }
            let rule = Rule { allow, pattern: Pattern::new(value), text: value.to_owned(), line: index + 1 };
            if for_own {
                own.push(rule.clone());
            }
            if for_all {
                others.push(rule);
            }
        }
        let mut rules = Self(if has_own_group { own } else { others });
        rules.0.shrink_to_fit();
        rules
    }

    /// Returns the rule that forbids fetching `path`, which includes the query; `None` if it is allowed. The longest
    /// matching rule decides, and Allow wins a tie. The robots.txt itself is always allowed.
    pub fn keeps_out(&self, path: &str) -> Option<Disallowed> {
        let path = normalise(path);
        if path == "/robots.txt" {
            return None;
        }
        let matching = self.0.iter().filter(|rule| rule.pattern.fits(&path));
        let rule = matching.max_by_key(|rule| (rule.pattern.length(), rule.allow))?;
        (!rule.allow).then(|| Disallowed { text: rule.text.clone(), line: rule.line })
    }

    /// Approximate number of bytes that the rules take in memory.
    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|rule| size_of::<Rule>() + rule.text.capacity() + rule.pattern.weight()).sum()
    }
}

/// Splits text into lines, which end in CR, LF or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).split('\r')
    })
}

/// The product token at the start of a user-agent value: `dateline` of `dateline/1.0`.
fn product_token(value: &str) -> &str {
    let end = value.find(|c: char| !(c.is_ascii_alphabetic() || matches!(c, '-' | '_'))).unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(robots: &str, path: &str) -> Option<usize> {
        Rules::read(robots.as_bytes(), "dateline").keeps_out(path).map(|rule| rule.line)
    }

    #[test]
    fn our_own_group_replaces_the_group_for_all() {
        let robots = "User-agent: *\nDisallow: /\n\nUser-agent: dateline\nDisallow: /own\n";
        assert_eq!(line(robots, "/own/a"), Some(5));
        assert_eq!(line(robots, "/other"), None);
        assert_eq!(line("user-agent: other\ndisallow: /\nUSER-AGENT : * # all\nDisallow:/x", "/x"), Some(4));
        assert_eq!(line("user-agent: datelines\nuser-agent: date\ndisallow: /", "/x"), None);
        assert_eq!(line("user-agent: DateLine/2.0 (+x)\ndisallow: /", "/x"), Some(2));
        // A group of our own without rules allows everything.
        assert_eq!(line("user-agent: *\ndisallow: /\nuser-agent: dateline\ndisallow:", "/x"), None);
    }

    #[test]
    fn user_agents_share_a_group_and_groups_of_one_agent_are_merged() {
        let robots = "user-agent: a\nuser-agent: dateline\ncrawl-delay: 5\nuser-agent: b\ndisallow: /1\n\
                      user-agent: b\ndisallow: /2\nuser-agent: dateline\ndisallow: /3";
        assert_eq!(line(robots, "/1"), Some(5));
        assert_eq!(line(robots, "/2"), None);
        assert_eq!(line(robots, "/3"), Some(9));
    }

    #[test]
    fn the_longest_rule_decides_and_allow_wins_a_tie() {
        let robots =
            "user-agent: *\ndisallow: /a\nallow: /a/b\ndisallow: /a/b/c\nallow: /a/b/c\nallow: /q\ndisallow: /q*x";
        assert_eq!(line(robots, "/a"), Some(2));
        assert_eq!(line(robots, "/a/b"), None);
        assert_eq!(line(robots, "/a/b/c"), None);
        assert_eq!(line(robots, "/q?x=1"), Some(7));
        assert_eq!(line(robots, "/q?y=1"), None);
    }

    #[test]
    fn robots_txt_itself_is_always_allowed() {
        assert_eq!(line("user-agent: *\ndisallow: /", "/robots.txt"), None);
        assert_eq!(line("user-agent: *\ndisallow: /", "/robots.txt?x"), Some(2));
    }

    #[test]
    fn any_bytes_can_be_read() {
        assert_eq!(line("", "/"), None);
        assert_eq!(line("disallow: /", "/"), None);
        assert_eq!(line("<!doctype html><p style='color: red'>Not found", "/"), None);
        assert_eq!(line("\u{feff}user-agent: *\rdisallow: /a\r\ndisallow: /b", "/b"), Some(3));
        assert!(Rules::read(b"user-agent: *\ndisallow: /\xff", "dateline").keeps_out("/").is_none());
        assert_eq!(line("user-agent\ndisallow\n:\n::", "/"), None);
    }
}
