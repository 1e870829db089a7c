//! Names the fields of requests as the user wrote them: by the option or argument that sets each.

/// Fields, and the option or argument that sets each of them. Each entry covers the items of a repeated field as well.
///
/// A field that a document may state, such as `content.language`, has no entry: the user may have given no option.
const NAMES: [(&str, &str); 44] = [
    ("name", "ARTICLE"),
    ("parent", "--source"),
    ("article_id", "--article"),
    ("urls", "the list of URLs"),
    ("add_labels", "+LABEL"),
    ("remove_labels", "-LABEL"),
    ("url", "URL"),
    ("ends", "--end"),
    ("from_name", "--from"),
    ("observe_time", "--observed-at"),
    ("reason", "--reason"),
    ("http_status", "--status"),
    ("gone_after", "--gone-after"),
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
    ("changed_parts", "--changed"),
    ("filter.sources", "--source"),
    ("filter.articles", "ARTICLE"),
    ("filter.states", "--state"),
    ("filter.languages", "--language"),
    ("filter.labels", "--label"),
    ("filter.changed_parts", "--changed"),
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
    ("webhook.url", "URL"),
    ("overlap", "--overlap"),
];

/// The option or argument that sets the field with this path, such as `filter.labels[0]`; the path itself if there is
/// none.
pub(super) fn option_of(path: &str) -> &str {
    // `--url` is checked before a request is sent, but not for its length; the URL may also be that of a page.
    if path.starts_with("urls[") {
        return "a URL of the article";
    }
    let path_in_request = path;
    let path = path.strip_prefix("subscription.").unwrap_or(path);
    let is_of = |field: &str| path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('['));
    NAMES.iter().find(|(field, _)| is_of(field)).map_or(path_in_request, |(_, option)| option)
}

/// The name of a field in JSON: each part of its path in lower camel case, so that `article_id` becomes `articleId`.
pub(super) fn json_name(path: &str) -> String {
    let mut name = String::with_capacity(path.len());
    let mut is_after_underscore = false;
    for character in path.chars() {
        match character {
            '_' => is_after_underscore = true,
            _ if std::mem::take(&mut is_after_underscore) => name.push(character.to_ascii_uppercase()),
            _ => name.push(character),
        }
    }
    name
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
            ("subscription.filter.labels[3]", "--label"),
            ("subscription.other", "subscription.other"),
            ("filter.sources", "--source"),
            ("start.resume_token", "--resume"),
            ("content.headline", "content.headline"),
            ("labels[0]", "labels[0]"),
            ("add_labels[0]", "+LABEL"),
            ("urls", "the list of URLs"),
            ("urls[2]", "a URL of the article"),
            ("urls_max", "urls_max"),
            ("", ""),
        ] {
            assert_eq!(option_of(path), name);
        }
    }

    #[test]
    fn a_field_in_a_line_is_named_as_the_line_names_it() {
        for (path, name) in [
            ("article_id", "articleId"),
            ("content.publish_time.found_in", "content.publishTime.foundIn"),
            ("content.blocks[2].caption.image_url", "content.blocks[2].caption.imageUrl"),
            ("urls[0]", "urls[0]"),
        ] {
            assert_eq!(json_name(path), name);
        }
    }

    /// A renamed option must be renamed here, too.
    #[test]
    fn every_option_that_is_named_exists() {
        fn add_options(command: &clap::Command, options: &mut HashSet<String>) {
            options.extend(command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))));
            command.get_subcommands().for_each(|command| add_options(command, options));
        }
        let mut options = HashSet::new();
        add_options(&Arguments::command(), &mut options);
        let named = NAMES.iter().flat_map(|(_, name)| name.split(' ')).filter(|word| word.starts_with("--"));
        let missing: Vec<_> = named.filter(|option| !options.contains(*option)).collect();
        assert_eq!(missing, [""; 0]);
    }
}
