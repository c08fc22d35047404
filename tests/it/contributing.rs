//! What `.github/CONTRIBUTING.md` walks through works: its steps are carried out, in a copy of the
//! tree, as they are written.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fenced block, and the file that the sentence before it names.
struct Step {
    line: usize,
    language: String,
    file: Option<PathBuf>,
    text: String,
}

/// The blocks of the page, in order.
fn steps() -> Vec<Step> {
    let page = fs::read_to_string(root().join(".github/CONTRIBUTING.md")).unwrap();
    let (mut steps, mut file) = (Vec::new(), None);
    let mut lines = page.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if let Some(sentence) = line.trim_end().strip_suffix(':') {
                file = sentence
                    .split('`')
                    .skip(1)
                    .step_by(2)
                    .find(|word| word.contains('.') && !word.contains(' '))
                    .map(PathBuf::from);
            }
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let text: Vec<_> = lines
            .by_ref()
            .map(|(_, line)| line.get(indent..).unwrap_or_default())
            .take_while(|line| *line != "```")
            .collect();
        steps.push(Step {
            line: number + 1,
            language: language.to_owned(),
            file: file.take(),
            text: text.join("\n") + "\n",
        });
    }
    steps
}

/// The files of the tree that a build needs, where their changes hurt nobody.
fn copy_of_the_tree(to: &Path) {
    for name in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root().join(name), to.join(name)).unwrap();
    }
    for folder in [".cargo", "src", "schema", "deploy", "benches", "tests"] {
        copy(&root().join(folder), &to.join(folder));
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Puts what a diff adds where its other lines stand, which must be once.
fn apply(file: &Path, step: &Step) {
    let text = fs::read_to_string(file).unwrap();
    let side = |mark: char| -> String {
        step.text
            .lines()
            .filter(|line| line.is_empty() || line.starts_with([' ', mark]))
            .map(|line| format!("{}\n", line.get(1..).unwrap_or_default()))
            .collect()
    };
    let (before, after) = (side('-'), side('+'));
    assert_eq!(
        text.matches(&before).count(),
        1,
        "CONTRIBUTING.md:{}: these lines do not stand once in {}:\n{before}",
        step.line,
        file.display()
    );
    fs::write(file, text.replacen(&before, &after, 1)).unwrap();
}

fn succeed(line: usize, output: &Output) -> String {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "CONTRIBUTING.md:{line}: {said}");
    said
}

/// The program with all that the page adds. What it stands on was built for the tests, and is taken
/// from there.
fn build(tree: &Path) -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_alertbridge"))
        .parent()
        .unwrap();
    let target = tree.join("target/debug");
    fs::create_dir_all(&target).unwrap();
    let linked = Command::new("cp")
        .arg("-al")
        .args(["deps", "build", ".fingerprint"].map(|name| built.join(name)))
        .arg(&target)
        .output()
        .unwrap();
    succeed(0, &linked);

    let output = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet", "--bin", "alertbridge"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.join("target"))
        .output()
        .unwrap();
    succeed(0, &output);
    target.join("alertbridge")
}

#[test]
fn what_is_walked_through_works_as_it_is_written() {
    // On the file system of what was built, so that it can be linked.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tree = folder.path();
    copy_of_the_tree(tree);
    let steps = steps();
    for step in &steps {
        match (step.language.as_str(), &step.file) {
            ("diff", Some(file)) => apply(&tree.join(file), step),
            ("rust" | "yaml", Some(file)) => {
                let file = tree.join(file);
                assert!(!file.exists(), "{} is there already", file.display());
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(file, &step.text).unwrap();
            }
            ("sh" | "text", _) => {}
            _ => panic!(
                "CONTRIBUTING.md:{}: a block of `{}` without a file",
                step.line, step.language
            ),
        }
    }

    let program = build(tree);
    let (mut said, mut tried) = (String::new(), 0);
    for step in &steps {
        match step.language.as_str() {
            "sh" if step.text.starts_with("alertbridge ") => {
                let output = Command::new("sh")
                    .args(["-ec", &step.text])
                    .current_dir(tree)
                    .env(
                        "PATH",
                        format!(
                            "{}:{}",
                            program.parent().unwrap().display(),
                            std::env::var("PATH").unwrap()
                        ),
                    )
                    .output()
                    .unwrap();
                said = succeed(step.line, &output);
                tried += 1;
            }
            "text" => assert!(
                said.contains(step.text.trim_end()),
                "CONTRIBUTING.md:{}: it said\n{said}",
                step.line
            ),
            _ => {}
        }
    }
    assert!(tried >= 3, "the commands were not found");
}
