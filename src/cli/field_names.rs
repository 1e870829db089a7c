//! Names the fields of requests as the user wrote them: by the option or argument that sets each.

/// Fields, and the option or argument that sets each of them. Each entry covers the items of a repeated field as well.
///
/// A field that a document may state, such as `content.language`, has no entry: the user may have given no option.
const NAMES: [(&str, &str); 34] = [
    ("name", "ARTICLE"),
    ("parent", "--source"),
    ("article_id", "--article"),
    // The option is checked before a request is sent, so a wrong URL here came from a document or a page.
    ("urls", "the article's URLs"),
    ("url", "ARTICLE"),
    ("observe_time", "--observed-at"),
    ("reason", "--reason"),
    ("request_id", "--request-id"),
    ("revision_number", "--to"),
    ("precondition.revision_number", "--if-revision"),
    ("as_of.observe_time", "--at"),
    ("as_of.archive_time", "--known-at"),
    ("base.revision_number", "--from"),
    ("base.observe_time", "--from"),
    ("target.revision_number", "--to"),
    ("target.observe_time", "--to"),
    ("page_size", "--limit"),
    ("filter.sources", "--source"),
    ("filter.articles", "ARTICLE"),
    ("filter.states", "--state"),
    ("filter.languages", "--language"),
    ("filter.labels", "--label"),
    ("filter.url_prefix", "--url-prefix"),
    ("filter.observe_time", "--observed-from and --observed-to"),
    ("filter.observe_time.start_time", "--observed-from"),
    ("filter.observe_time.end_time", "--observed-to"),
    ("filter.publish_time", "--published-from and --published-to"),
    ("filter.publish_time.start_time", "--published-from"),
    ("filter.publish_time.end_time", "--published-to"),
    ("kinds", "--kind"),
    ("view", "--view"),
    ("start.archive_time", "--from"),
    ("start.resume_token", "--resume"),
    ("subscription_id", "--durable"),
];

/// The option or argument that sets the field with this path, such as `urls[0]`; the path itself if there is none.
pub(super) fn option_of(path: &str) -> &str {
    let is_of = |field: &str| path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
    NAMES.iter().find(|(field, _)| is_of(field)).map_or(path, |(_, option)| option)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Arguments;

    #[test]
    fn a_field_is_named_by_its_option_and_keeps_its_path_if_it_has_none() {
        for (path, name) in [
            ("observe_time", "--observed-at"),
            ("as_of.observe_time", "--at"),
            ("filter.observe_time.end_time", "--observed-to"),
            ("filter.labels[3]", "--label"),
            ("filter.sources", "--source"),
            ("start.resume_token", "--resume"),
            ("content.headline", "content.headline"),
            ("content.labels[0]", "content.labels[0]"),
            ("urls_max", "urls_max"),
            ("", ""),
        ] {
            assert_eq!(option_of(path), name);
        }
    }

    /// A renamed option must be renamed here, too.
    #[test]
    fn every_option_that_is_named_exists() {
        let command = Arguments::command();
        let options: HashSet<String> = command
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .filter_map(|argument| argument.get_long().map(|name| format!("--{name}")))
            .collect();
        let named = NAMES.iter().flat_map(|(_, name)| name.split(' ')).filter(|word| word.starts_with("--"));
        let missing: Vec<_> = named.filter(|option| !options.contains(*option)).collect();
        assert_eq!(missing, [""; 0]);
    }
}
