//! The repository as text: Rust files, manifests, and paths that a document names.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// A Rust file.
pub struct Source {
    /// Path from the root, with slashes.
    pub path: String,
    /// Content.
    pub text: String,
}

impl Source {
    /// Places (`path:line`) where `word` stands outside comments.
    pub fn lines_with(&self, word: &str) -> impl Iterator<Item = String> {
        let lines = self.text.lines().enumerate().filter(move |(_, line)| code(line).contains(word));
        lines.map(|(number, _)| format!("{}:{}", self.path, number + 1))
    }

    /// True if `Instant` is imported from the façade.
    pub fn imports_rt_instant(&self) -> bool {
        let uses = self.text.lines().filter(|line| line.trim_start().starts_with("use rt::"));
        uses.into_iter().any(|line| line.contains("Instant"))
            || self.lines_with("Instant::now").count() == self.lines_with("rt::time::Instant::now").count()
    }

    /// True for tests, whose length no rule limits.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }
}

/// A line without its comment. The `//` of an address is not one.
fn code(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(place, _)| !line[..*place].ends_with(':'));
    comment.map_or(line, |(place, _)| &line[..place])
}

/// All Rust files below these folders of the root.
pub fn rust_files(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    folders.iter().for_each(|folder| collect(&root().join(folder), &mut found));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // Others may be renaming it at this moment.
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let path = path.strip_prefix(root()).unwrap().display().to_string();
            found.push(Source { path, text });
        }
    }
}

/// Names in the sections of a manifest that a user of the package builds too.
pub fn manifest_dependencies(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = section == "dependencies" || section.ends_with(".dependencies");
            let table = section.rsplit_once("dependencies.").filter(|(before, _)| !before.ends_with('-'));
            names.extend(table.map(|(_, name)| name.to_owned()));
        } else if inside && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
            names.extend(Some(name.to_owned()).filter(|name| !name.is_empty()));
        }
    }
    names
}

/// Paths of this repository that a Markdown text names in backticks or links.
pub fn named_paths(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (place, part) in markdown.split("```").enumerate() {
        // Blocks of code hold commands and their output.
        if place % 2 == 1 {
            continue;
        }
        let links = part.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let links = links.filter(|link| !link.contains(':') && !link.starts_with('#'));
        found.extend(links.map(|link| link.split('#').next().unwrap_or_default().to_owned()));
        found.extend(part.split('`').skip(1).step_by(2).filter(|word| is_path(word)).map(str::to_owned));
    }
    found.into_iter().map(|path| path.trim_start_matches("./").trim_end_matches('/').to_owned()).collect()
}

/// True for what can only be a path of ours: it begins with a folder of ours, or it is a file's name.
fn is_path(word: &str) -> bool {
    const FOLDERS: [&str; 8] = ["sim", "nodes", "loadgen", "reports", "tests", ".ci", ".cargo", "docs"];
    const WRITTEN: [&str; 3] = ["reports/out", "target", "data"];
    let word = word.trim_start_matches("./");
    if word.contains([' ', '*', '<', '{', '$', ':', '…']) || WRITTEN.iter().any(|path| word.starts_with(path))
    {
        return false;
    }
    match word.split_once('/') {
        Some((first, _)) => FOLDERS.contains(&first),
        None => ["Cargo.toml", "Cargo.lock", "CHANGELOG.md", "README.md", "clippy.toml"].contains(&word),
    }
}
