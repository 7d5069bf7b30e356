//! What the pages say is so: their commands do what is shown below them, their links lead somewhere, and what one page
//! counts is what there is.
//!
//! Pages that need an engine are typed by `integration/pages.rs`.

#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::thread;

#[path = "pages/blocks.rs"]
mod blocks;
mod harness;
#[path = "harness/json.rs"]
#[allow(dead_code)] // nothing is checked against the schema here
mod json;
#[path = "pages/typed.rs"]
mod typed;

use blocks::{Block, NOT_TYPED, WITH_AN_ENGINE, all_blocks, pages, text};
use harness::{Folder, command, sexton_binary};

#[test]
fn each_command_of_a_page_does_what_the_page_shows() {
    let blocks: Vec<Block> = all_blocks().into_iter().filter(is_typed_here).collect();
    assert!(!blocks.is_empty());
    if std::env::var_os("WRITE_PAGES").is_some() {
        blocks.iter().for_each(type_it);
        return;
    }
    // Most of them only wait.
    thread::scope(|scope| {
        for block in &blocks {
            scope.spawn(|| type_it(block));
        }
    });
}

fn is_typed_here(block: &Block) -> bool {
    let is_elsewhere = WITH_AN_ENGINE.contains(&block.page.as_str()) || block.reason().is_some();
    !is_elsewhere && ["sh", "console"].contains(&block.language.as_str())
}

fn type_it(block: &Block) {
    let folder = Folder::new();
    let programs = Folder::new();
    std::os::unix::fs::symlink(sexton_binary(), programs.0.join("sexton")).unwrap();
    let path = programs.0.to_str().unwrap().to_owned() + ":/usr/bin:/bin";
    let shell = || {
        let mut bash = command("bash");
        bash.current_dir(&folder.0).env("PATH", &path).env("LC_ALL", "C");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEXTON_")) {
            bash.env_remove(name);
        }
        bash
    };
    typed::type_it(block, shell, |output| output.replace(&path, "/usr/local/bin:/usr/bin:/bin"), true);
}

#[test]
fn each_block_is_run_by_a_test_or_listed_with_a_reason() {
    let blocks = all_blocks();
    let mut wrong = Vec::new();
    for block in &blocks {
        let with_engine = WITH_AN_ENGINE.contains(&block.page.as_str());
        let is_run = match block.language.as_str() {
            "sh" | "console" => true,
            "dockerfile" => with_engine,
            "yaml" => true,
            _ => false,
        };
        if !is_run && block.reason().is_none() {
            wrong.push(format!("{}: nobody runs this {:?} block:\n{}", block.place(), block.language, block.text));
        }
    }
    for (page, words, _) in NOT_TYPED {
        if !blocks.iter().any(|block| block.page == *page && block.text.contains(words)) {
            wrong.push(format!("tests/pages/not_typed.in lists {words:?} of {page}, which has no such block"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_yaml_block_is_yaml() {
    let mut seen = 0;
    for block in all_blocks().iter().filter(|block| block.language == "yaml") {
        let documents = yaml_rust2::YamlLoader::load_from_str(&block.text);
        let documents = documents.unwrap_or_else(|error| panic!("{}: {error}", block.place()));
        assert!(documents.iter().all(|document| document.as_hash().is_some()), "{}", block.place());
        seen += 1;
    }
    assert!(seen > 0);
}

/// Links to other sites are not followed.
#[test]
fn each_link_from_page_to_page_leads_to_a_file_and_a_heading() {
    let headings: HashMap<String, Vec<String>> =
        pages().into_iter().map(|page| (page.clone(), anchors(&page))).collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in pages() {
        let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&page) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { page.clone() } else { join(folder, file) };
            seen += 1;
            let has_heading = headings.get(&target).is_some_and(|all| all.iter().any(|one| one == anchor));
            if !blocks::path(&target).exists() || !anchor.is_empty() && !has_heading {
                wrong.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "links to nowhere:\n{}", wrong.join("\n"));
    assert!(seen > 30, "{seen}");
}

fn join(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The text without its code blocks.
fn prose(page: &str) -> Vec<String> {
    let mut open = false;
    let is_prose = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        open ^= is_fence;
        !open && !is_fence
    };
    text(page).lines().filter(is_prose).map(str::to_owned).collect()
}

fn links(page: &str) -> Vec<String> {
    let text = prose(page).join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(link, _)| link.to_owned()).filter(|link| !link.contains("://")).collect()
}

/// As GitHub makes them of headings.
fn anchors(page: &str) -> Vec<String> {
    let headings = prose(page).into_iter().filter(|line| line.starts_with('#'));
    let anchor = |line: String| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_first_sentence_of_each_page_says_whom_it_is_for() {
    let others = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(String::from);
    for page in pages().iter().chain(&others).filter(|page| *page != "README.md") {
        let lines = prose(page);
        assert!(lines[0].starts_with("# "), "{page} begins with its title");
        let first = lines.iter().skip(1).find(|line| !line.is_empty()).unwrap_or_else(|| panic!("{page} is empty"));
        assert!(
            first.starts_with("This page is for "),
            "{page} does not say in its first sentence whom it is for: {first}"
        );
    }
}

// ---- README.md ----

#[test]
fn the_readme_has_200_lines_at_most() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 200, "{lines}");
}

/// What a newcomer needs first comes first.
#[test]
fn the_readme_has_its_parts_in_this_order() {
    let lines = prose("README.md");
    let headings: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix('#')).collect();
    let expected = [
        " sexton",
        "# Install",
        "# See it work, and test it",
        "# Recipes",
        "## Dockerfile",
        "## Compose",
        "## Kubernetes",
        "## `docker run --init`",
        "## CI job",
        "# Options",
        "# Exit status",
        "# Why it died, why it did not stop",
        "# How it compares",
        "# What it costs",
        "# More",
    ];
    assert_eq!(headings, expected);
    let first = lines.iter().position(|line| line.starts_with("![")).expect("the picture");
    assert!(first < lines.iter().position(|line| line == "## Install").unwrap(), "the picture opens it");
}

#[test]
fn the_readmes_messages_are_outputs_of_other_pages() {
    let readme = blocks::blocks("README.md");
    let messages = readme.iter().find(|block| block.language.is_empty() && block.text.starts_with("sexton: "));
    let messages = messages.expect("a block with messages");
    let outputs = all_blocks().into_iter().filter(|block| block.language == "console").map(|block| block.text);
    let outputs: String = outputs.map(|text| typed::normal(&text)).collect();
    for message in messages.text.lines() {
        assert!(outputs.contains(&typed::normal(message)), "no page shows the command that gave this: {message}");
    }
}

#[test]
fn the_readmes_table_has_every_option_with_its_variable() {
    let readme = text("README.md");
    let table: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `-")).collect();
    for Described { option, variable, .. } in described() {
        let (_, name) = option.split_once("--").unwrap();
        let name = name.split(['[', ' ', '.']).next().unwrap();
        let row = table.iter().find(|row| row.contains(&format!("`--{name}")));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for --{name}"));
        if let Some(variable) = variable {
            let variable = variable.split('=').next().unwrap();
            assert!(row.contains(&format!("`{variable}`")), "{row}: not {variable}");
        }
    }
}

/// `integration/podman.rs` and `integration/kubernetes.rs` run that one.
#[test]
fn the_readmes_pod_has_the_times_of_the_manifest_of_kubernetes_md() {
    let of = |page: &str| {
        let block = blocks::blocks(page).into_iter().find(|block| block.text.contains("terminationGracePeriodSeconds"));
        let text = block.expect("a manifest").text;
        let is_time = |line: &&str| line.contains("SEXTON_") || line.contains("terminationGracePeriodSeconds");
        text.lines().map(str::trim).filter(is_time).map(str::to_owned).collect::<Vec<_>>()
    };
    let readme = of("README.md");
    assert_eq!(readme, of("docs/kubernetes.md"));
    assert_eq!(readme.len(), 4);
}

#[test]
fn the_index_lists_every_page() {
    let index = links("docs/README.md");
    for page in fs::read_dir(blocks::path("docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let is_listed = index.contains(&name);
        assert!(is_listed || name == "README.md" || !name.ends_with(".md"), "docs/README.md does not list {name}");
    }
}

/// The number that stands before this word.
#[track_caller]
fn number_before(page: &str, words: &str) -> usize {
    let text = text(page).split_whitespace().collect::<Vec<_>>().join(" ");
    let (before, _) = text.split_once(words).unwrap_or_else(|| panic!("{page} no longer says {words:?}"));
    let number = before.trim_end().rsplit(' ').next().unwrap();
    number.parse().unwrap_or_else(|_| panic!("{page} has no number before {words:?}, but {number:?}"))
}

#[test]
fn testing_md_counts_what_the_others_list() {
    let panics = text("docs/panics.md").lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(number_before("docs/testing.md", "functions why"), panics, "docs/panics.md");

    // The page's other numbered list has the four promises, which are written in bold.
    let is_invariant = |line: &&str| line.starts_with(|first: char| first.is_ascii_digit()) && !line.contains("**");
    let invariants = text("docs/design.md").lines().filter(is_invariant).count();
    assert_eq!(number_before("docs/testing.md", "invariants of"), invariants, "docs/design.md");

    let lives = text("tests/faults/scenarios.rs").matches(" Scenario::new(").count();
    assert_eq!(number_before("docs/testing.md", "lives of sexton"), lives, "tests/faults/scenarios.rs");
}

// ---- CHANGELOG.md and the version ----

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn the_changelog_has_this_version_with_a_date() {
    let changelog = text("CHANGELOG.md");
    let heading = format!("## [{VERSION}] - ");
    let date = changelog.lines().find_map(|line| line.strip_prefix(&heading));
    let date = date.unwrap_or_else(|| panic!("CHANGELOG.md has no heading {heading:?} with a date"));
    let digits = date.bytes().filter(u8::is_ascii_digit).count();
    assert!(digits == 8 && date.len() == 10 && date.split('-').count() == 3, "{date}");
    assert!(changelog.contains(&format!("[{VERSION}]: https://")), "a link to it");
}

#[test]
fn engines_md_shows_this_version() {
    assert!(text("docs/engines.md").contains(&format!("0.19.0 (sexton {VERSION})")), "docs/engines.md");
}

/// The words in backquotes below "What stays".
fn promised() -> BTreeSet<String> {
    let changelog = text("CHANGELOG.md");
    let (_, section) = changelog.split_once("### What stays\n").expect("what stays");
    let (section, _) = section.split_once("\n### ").expect("another section behind it");
    section.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_changelog_promises_every_option_and_every_variable() {
    let help = |arguments: &[&str]| {
        let output = command(sexton_binary()).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["--help"]) + &help(&["--check", "--help"]);
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = || all.split(|c: char| !is_part(c)).map(|word| word.trim_end_matches('-'));
    let variables = words().filter(|word| word.starts_with("SEXTON_")).map(str::to_owned);
    let options = all.lines().map(str::trim).filter(|line| line.starts_with('-'));
    let options = options.flat_map(|line| {
        let option = line.split("  ").next().unwrap_or_default();
        let names = option.split([' ', ',', '[', '=', '.']).filter(|name| name.starts_with('-'));
        names.map(str::to_owned).collect::<Vec<_>>()
    });
    let there: BTreeSet<String> = options.chain(variables).collect();
    assert!(there.len() > 50, "{there:?}");
    let is_one = |word: &&String| word.starts_with('-') || word.starts_with("SEXTON_");
    let promised = promised();
    assert_eq!(promised.iter().filter(is_one).collect::<Vec<_>>(), there.iter().collect::<Vec<_>>());
}

#[test]
fn the_changelog_promises_every_key_of_a_json_line() {
    let schema = json::parse(include_str!("../docs/logging.schema.json"));
    let json::Json::Object(schema) = schema else { panic!("{schema:?}") };
    let json::Json::Object(properties) = &schema["properties"] else { panic!("{schema:?}") };
    let promised = promised();
    let missing: Vec<&String> = properties.keys().filter(|key| !promised.contains(*key)).collect();
    assert!(missing.is_empty(), "CHANGELOG.md, \"What stays\", does not name {missing:?}");
}

// ---- docs/options.md ----

const OPTIONS: &str = "docs/options.md";
const FROM: &str = "<!-- options: `WRITE_PAGES=1 cargo test --test pages` writes from here -->\n";
const TO: &str = "<!-- options: to here -->\n";

/// What `sexton --help` says of one option.
struct Described {
    heading: String,
    /// As in `-r, --rewrite <FROM:TO>`.
    option: String,
    variable: Option<String>,
    paragraphs: Vec<String>,
}

fn described() -> Vec<Described> {
    let help = command(sexton_binary()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut all: Vec<Described> = Vec::new();
    let mut heading = String::new();
    // The options stand between the usage and the exit statuses.
    for line in help.lines().skip_while(|line| *line != "Shutdown:").take_while(|line| *line != "Exit status:") {
        let text = line.trim();
        if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            heading = name.into();
        } else if text.starts_with('-') && line.len() - text.len() < 10 {
            let (heading, option) = (heading.clone(), text.into());
            all.push(Described { heading, option, variable: None, paragraphs: vec![String::new()] });
        } else if let Some(last) = all.last_mut() {
            match text.strip_prefix("[env: ").and_then(|rest| rest.strip_suffix(']')) {
                Some(variable) => last.variable = Some(variable.into()),
                None if text.is_empty() => last.paragraphs.push(String::new()),
                None => {
                    let paragraph = last.paragraphs.last_mut().unwrap();
                    // A list of policies keeps its lines.
                    let is_item = text.split(' ').next().is_some_and(|word| word.ends_with(':'));
                    let gap = if paragraph.is_empty() {
                        ""
                    } else if is_item {
                        "\n"
                    } else {
                        " "
                    };
                    *paragraph = format!("{paragraph}{gap}{text}");
                }
            }
        }
    }
    assert!(all.len() > 20, "{help}");
    all
}

#[test]
fn options_md_says_what_the_help_says() {
    let mut written = String::new();
    let mut heading = String::new();
    for option in described() {
        if option.heading != heading {
            heading.clone_from(&option.heading);
            written += &format!("\n## {heading}\n");
        }
        written += &format!("\n**`{}`**", option.option);
        if let Some(variable) = option.variable {
            written += &format!(" · `{variable}`");
        }
        written += "\n";
        for paragraph in option.paragraphs.iter().filter(|paragraph| !paragraph.is_empty()) {
            let lines = paragraph.split('\n').enumerate().map(|(number, line)| {
                let is_first = number == 0 && !line.split(' ').next().is_some_and(|word| word.ends_with(':'));
                if is_first { format!("{line}\n") } else { format!("- {line}\n") }
            });
            written += "\n";
            written += &lines.collect::<String>().replace('<', "&lt;");
        }
    }
    let page = text(OPTIONS);
    let (before, rest) = page.split_once(FROM).expect("the place of the options");
    let (there, after) = rest.split_once(TO).expect("the end of the options");
    let written = written + "\n";
    if std::env::var_os("WRITE_PAGES").is_some() {
        fs::write(blocks::path(OPTIONS), format!("{before}{FROM}{written}{TO}{after}")).unwrap();
    } else {
        assert!(there == written, "{OPTIONS} is not what --help says; WRITE_PAGES=1 writes it anew:\n{written}");
    }
}
