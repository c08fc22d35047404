//! The configuration files of `tests/config` through the real program: the good are `ok`, the bad
//! are told with file, line, key and mend, exactly as written beside them.
//!
//! `UPDATE_EXPECTED=1 cargo test --test it config` writes what is expected anew; read the
//! difference before committing.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use alertbridge::config::{Config, Files, Source};

use crate::harness::PROGRAM;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

/// Runs `check` in the file's own folder, so that messages name the file alone.
fn check(file: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["check", "--config"])
        .arg(file.file_name().unwrap())
        .args(more)
        .current_dir(file.parent().unwrap())
        .env("HOME", "/home/of-the-environment")
        .env_remove("ALERTBRIDGE_TEST_NOT_SET")
        .output()
        .unwrap()
}

fn updating() -> bool {
    std::env::var_os("UPDATE_EXPECTED").is_some()
}

#[test]
fn good_configurations_are_ok() {
    let files = files("good");
    assert!(files.len() >= 6);
    for file in files {
        let output = check(&file, &[]);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success() && out.ends_with("\nok\n"),
            "{}:\n{out}{err}",
            file.display()
        );
    }
}

#[test]
fn bad_configurations_are_told_with_file_line_key_and_mend() {
    let files = files("bad");
    assert!(files.len() >= 45, "{} are few", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let output = check(&file, &[]);
        let told = String::from_utf8(output.stderr).unwrap();
        let expected_in = file.with_extension("txt");
        if updating() && !told.is_empty() {
            fs::write(&expected_in, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected_in).unwrap_or_default();
        if output.status.code() != Some(1) || told != expected || !output.stdout.is_empty() {
            wrong.push(format!(
                "{}:\nexpected:\n{expected}\ntold:\n{told}",
                file.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_message_shows_a_secret() {
    for file in files("bad") {
        for more in [&[][..], &["--json"]] {
            let output = check(&file, more);
            for told in [output.stdout, output.stderr] {
                let told = String::from_utf8(told).unwrap();
                for secret in ["hunter2", "of-the-environment", "SECRET"] {
                    assert!(
                        !told.contains(secret),
                        "{} shows {secret}:\n{told}",
                        file.display()
                    );
                }
            }
        }
    }
}

#[test]
fn plain_http_is_taken_with_a_warning() {
    let text = include_str!("../config/good/minimal.yaml")
        .replace("  - name: stdout\n    stdout_configs: [{}]\n", "")
        .replace("{ receiver: stdout }", "{ receiver: hook }")
        + "  - name: hook\n    webhook_configs: [{ url: 'http://hooks.example.com' }]\n";
    let loaded = Config::parse(Source::Embedded, &text, Files::Unneeded, &|_| None);
    let warnings = loaded.unwrap_or_else(|errors| panic!("{errors}")).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("receivers[0].webhook_configs[0].url: "),
        "{warnings:?}"
    );
}

#[test]
fn included_files_are_joined_and_name_their_files_from_their_own_folder() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good/include.yaml");
    let loaded =
        Config::load(Some(&file), Files::Needed).unwrap_or_else(|errors| panic!("{errors}"));
    let config = &loaded.config;
    assert_eq!(loaded.included, 3, "each once, and no hidden one");
    assert_eq!(
        config
            .receivers
            .iter()
            .map(|receiver| &receiver.name)
            .collect::<Vec<_>>(),
        ["stdout", "team"]
    );
    assert_eq!(
        (
            config.route.routes.len(),
            config.ingress.smtp.len(),
            config.ingress.webhook.len()
        ),
        (1, 1, 1)
    );
    assert_eq!(config.global.max_age, "12h".parse().unwrap());
    assert!(
        loaded
            .warnings
            .iter()
            .any(|warning| warning.starts_with("include[2]: no file matches")),
        "{:?}",
        loaded.warnings
    );
    let told = check(&file, &[]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.starts_with("include.yaml and 3 files: 2 ingresses, 2 routes, 2 receivers"),
        "{told}"
    );
}

/// As `check`, without root's right to read what is closed to everybody.
fn check_by_mode(file: &Path) -> Output {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let without = "--bounding-set=-dac_override,-dac_read_search";
    let words = if is_root {
        &["setpriv", "--inh-caps=-all", without, PROGRAM][..]
    } else {
        &[PROGRAM]
    };
    Command::new(words[0])
        .args(&words[1..])
        .args(["check", "--config"])
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .output()
        .unwrap()
}

#[test]
fn an_included_folder_that_cannot_be_read_is_refused_and_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertbridge.yaml");
    let minimal = include_str!("../config/good/minimal.yaml");
    fs::create_dir_all(folder.path().join("teams/net")).unwrap();
    for more in ["teams/more.yaml", "teams/net/more.yaml"] {
        fs::write(folder.path().join(more), "profiles: []\n").unwrap();
    }

    for (pattern, closed, named) in [
        ("teams/*.yaml", "teams", "teams"),
        ("teams/*/*.yaml", "teams/net", "teams/net"),
        ("teams/net/*.yaml", "teams", "teams/net"),
        ("teams/net/more.yaml", "teams", "teams/net"),
    ] {
        fs::write(&file, format!("{minimal}include: ['{pattern}']\n")).unwrap();
        let mode = |mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(folder.path().join(closed), mode).unwrap();
        };
        mode(0o000);
        let refused = check_by_mode(&file);
        mode(0o755);

        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{pattern}: {said}");
        let expected = format!(
            "include[0]: `{named}` cannot be read: Permission denied (os error 13)\n  mend: let \
             this user read it, or drop the pattern"
        );
        assert!(said.contains(&expected), "{pattern}: {said}");
        assert_eq!(check_by_mode(&file).status.code(), Some(0), "{pattern}");
    }
}

#[test]
fn a_warning_names_the_file_and_the_line_that_it_is_about() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alertbridge.yaml");
    let minimal = include_str!("../config/good/minimal.yaml");
    fs::write(&file, format!("{minimal}include: [more.yaml]\n")).unwrap();
    let more = "# Of another team.\nreceivers:\n  - name: nobody\n    stdout_configs: [{}]\n";
    fs::write(folder.path().join("more.yaml"), more).unwrap();
    let loaded = Config::load(Some(&file), Files::Unneeded);
    let warnings = loaded.unwrap_or_else(|errors| panic!("{errors}")).warnings;
    let expected = format!("({}:3)", folder.path().join("more.yaml").display());
    let told = |warning: &&String| warning.starts_with("receivers[1]");
    let told: Vec<_> = warnings.iter().filter(told).collect();
    assert!(
        matches!(&told[..], [one] if one.ends_with(&expected)),
        "{expected} in {warnings:#?}"
    );
}

#[test]
fn log_lines_are_json_where_no_terminal_is_unless_the_configuration_or_an_option_says_text() {
    let folder = tempfile::tempdir().unwrap();
    let config = "route: { receiver: a }\nreceivers: [{ name: a }]\nadmin: { listen: '127.0.0.1:0' \
                  }\n\
                  ingress: { imap: [{ name: box, host: 127.0.0.1, port: 1, tls: none, username: a, \
                  password: b }] }\n";
    for (format, options, json) in [
        ("", &[][..], true),
        ("global: { log_format: text }\n", &[][..], false),
        (
            "global: { log_format: text }\n",
            &["--log-format", "json"][..],
            true,
        ),
        (
            "global: { log_format: json }\n",
            &["--log-format", "text"][..],
            false,
        ),
        ("", &["--log-format", "auto"][..], true),
    ] {
        fs::write(
            folder.path().join("alertbridge.yaml"),
            format!("{format}{config}"),
        )
        .unwrap();
        let mut serve = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("serve")
            .args(options)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its mailbox answers to nobody, and it says so.
        let mut lines = BufReader::new(serve.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let line = lines.find(|line| line.contains("ingress failed")).unwrap();
        serve.kill().unwrap();
        serve.wait().unwrap();
        let object = serde_json::from_str::<serde_json::Value>(&line);
        assert_eq!(object.is_ok(), json, "{format}{options:?}: {line}");
        if let Ok(object) = object {
            assert_eq!(
                (&object["level"], &object["ingress"]),
                (&"WARN".into(), &"box".into()),
                "{line}"
            );
            assert!(
                object["timestamp"].is_string() && object["message"].is_string(),
                "{line}"
            );
        }
    }
}

/// What is warned of; the configuration is fine.
fn warned(text: &str) -> Vec<String> {
    let loaded = Config::parse(Source::Embedded, text, Files::Needed, &|_| None);
    loaded.unwrap_or_else(|errors| panic!("{errors}")).warnings
}

#[test]
fn an_ingress_that_others_reach_is_warned_of_while_any_app_is_taken() {
    let rest = "route: { receiver: r }\nreceivers: [{ name: r, stdout_configs: [{}] }]\n";
    let smtp = |listen: &str| {
        format!("smtp: [{{ name: s, listen: '{listen}', recipients: [a@example.com] }}]")
    };
    let http = |listen: &str| {
        format!("http: {{ listen: '{listen}' }}, webhook: [{{ name: h, token: t }}]")
    };
    let imap =
        |host: &str| format!("imap: [{{ name: i, host: {host}, username: u, password: p }}]");
    for (ingress, place) in [
        (
            smtp("0.0.0.0:2525"),
            Some("ingress.smtp[0] listens on 0.0.0.0:2525"),
        ),
        (smtp("[::]:2525"), Some("ingress.smtp[0]")),
        (
            http("192.0.2.1:8025"),
            Some("ingress.http listens on 192.0.2.1:8025"),
        ),
        (
            imap("imap.example.com"),
            Some("ingress.imap[0] reads a mailbox at imap.example.com"),
        ),
        (smtp("127.0.0.1:2525"), None),
        (smtp("[::1]:2525"), None),
        (http("127.0.0.1:8025"), None),
        (imap("localhost"), None),
    ] {
        let text = format!("ingress: {{ {ingress} }}\n{rest}");
        let warnings = warned(&text);
        assert_eq!(
            warnings.len(),
            usize::from(place.is_some()),
            "{ingress}: {warnings:?}"
        );
        assert!(
            place.is_none_or(|place| warnings[0].contains(place)),
            "{ingress}: {warnings:?}"
        );
        assert_eq!(
            warned(&format!(
                "alerts: {{ app_keys: [com.example.app] }}\n{text}"
            )),
            Vec::<String>::new()
        );
    }
}

#[test]
fn a_secrets_file_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "0123456789abcdef0123456789abcdef").unwrap();
    let text = format!(
        "route: {{ receiver: r }}\nreceivers:\n  - name: r\n    pagerduty_configs: [{{ \
         routing_key_file: '{}' }}]\n",
        file.display()
    );
    for (mode, exposed) in [
        (0o600, false),
        (0o400, false),
        (0o640, true),
        (0o604, true),
        (0o644, true),
        (0o620, true),
    ] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let warnings = warned(&text);
        assert_eq!(
            warnings
                .iter()
                .any(|told| told.contains("routing_key_file: others can")),
            exposed,
            "{warnings:?}"
        );
        assert!(
            !exposed || warnings[0].contains(&format!("{mode:04o}")),
            "{warnings:?}"
        );
    }

    // Root gives it to the service's group, as the package and the unit have it.
    if std::os::unix::fs::chown(&file, None, Some(65_534)).is_ok() {
        for (mode, exposed) in [(0o640, false), (0o660, true), (0o644, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(!warned(&text).is_empty(), exposed, "{mode:04o}");
        }
    }
}

#[test]
fn a_secrets_file_that_nobody_has_filled_in_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let path = file.display();
    for (place, rest) in [
        (
            "receivers[0].opsgenie_configs[0].api_key_file",
            format!("receivers: [{{ name: r, opsgenie_configs: [{{ api_key_file: '{path}' }}] }}]"),
        ),
        (
            "ingress.webhook[0].token_file",
            format!(
                "receivers: [{{ name: r, stdout_configs: [{{}}] }}]\n\
                 ingress: {{ webhook: [{{ name: w, token_file: '{path}' }}] }}"
            ),
        ),
    ] {
        let text = format!("route: {{ receiver: r }}\n{rest}\n");
        for (secret, is_placeholder) in [
            ("your-api-key", true),
            ("<api-key>\n", true),
            ("xxxxxxxx", true),
            ("changeme", true),
            ("01234567-89ab-cdef-0123-456789abcdef", false),
            ("k", false),
        ] {
            fs::write(&file, secret).unwrap();
            let told = warned(&text);
            let told: Vec<_> = told
                .iter()
                .filter(|told| told.contains("placeholder"))
                .collect();
            assert_eq!(
                told.len(),
                usize::from(is_placeholder),
                "{secret}: {told:?}"
            );
            assert!(told.iter().all(|told| told.contains(place)), "{told:?}");
        }
    }
}

#[test]
fn an_api_without_the_path_of_its_vendor_is_warned_of() {
    for (integration, key, base, is_told) in [
        (
            "jsm_configs",
            "api_key: k, api_url",
            "https://api.atlassian.com",
            true,
        ),
        (
            "jsm_configs",
            "api_key: k, api_url",
            "https://api.atlassian.com/jsm/ops/",
            true,
        ),
        (
            "jsm_configs",
            "api_key: k, api_url",
            "https://api.atlassian.com/jsm/ops/integration",
            false,
        ),
        (
            "jsm_configs",
            "api_key: k, api_url",
            "https://api.atlassian.com/jsm/ops/integration/v2/alerts",
            false,
        ),
        (
            "jsm_configs",
            "api_key: k, api_url",
            "https://proxy.example/jsm",
            false,
        ),
        (
            "opsgenie_configs",
            "api_key: k, api_url",
            "https://api.opsgenie.com/",
            false,
        ),
        (
            "slack_configs",
            "bot_token: xoxb-1, channel: c, bot_api_url",
            "https://slack.com",
            true,
        ),
        (
            "slack_configs",
            "bot_token: xoxb-1, channel: c, bot_api_url",
            "https://slack.com/api/",
            false,
        ),
    ] {
        let told = warned(&format!(
            "route: {{ receiver: r }}\nreceivers: [{{ name: r, {integration}: [{{ {key}: '{base}' }}] }}]"
        ));
        let says = |told: &String| told.contains("the path of the vendor's API is missing");
        assert_eq!(told.iter().any(says), is_told, "{base}: {told:?}");
    }
}

#[test]
fn json_names_every_problem() {
    let file = files("bad")
        .into_iter()
        .find(|file| file.ends_with("02-unknown-keys-all-at-once.yaml"))
        .unwrap();
    let output = check(&file, &["--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["ok"], false);
    assert_eq!(told["problems"].as_array().unwrap().len(), 2);
    assert_eq!(
        told["problems"][1],
        serde_json::json!({
            "file": "02-unknown-keys-all-at-once.yaml", "line": 6, "column": 7,
            "key": "ingress.webhook[0].provder",
            "problem": "there is no key `provder` here", "mend": "did you mean `provider`?",
        })
    );
}

#[test]
fn a_file_that_is_not_there_is_told_without_a_line() {
    let output = check(Path::new("/tmp/no-such-alertbridge.yaml"), &[]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.starts_with("no-such-alertbridge.yaml: cannot be read: "),
        "{told}"
    );
}

fn parse(text: &str) -> Config {
    let none = |_: &str| None;
    Config::parse(Source::Embedded, text, Files::Unneeded, &none)
        .unwrap_or_else(|errors| panic!("{errors}"))
        .config
}

#[test]
fn a_tree_as_deep_as_routes_may_be_is_read() {
    let deepest = "{ receiver: a, ".to_owned() + &"routes: [{ ".repeat(60) + &"}]".repeat(60) + "}";
    let config = parse(&format!(
        "ingress: {{ webhook: [{{ name: mail }}] }}\nreceivers: [{{ name: a, stdout_configs: \
         [{{}}] }}]\nroute: {deepest}\n"
    ));
    let depth = std::iter::successors(Some(&config.route), |route| route.routes.first()).count();
    assert_eq!(depth, 61);
}

#[test]
fn the_shipped_configuration_is_the_defaults() {
    let mut shipped = parse(include_str!("../../deploy/alertbridge.yaml"));
    let built_in = parse(include_str!("../../src/config/embedded.yaml"));
    assert_eq!(
        shipped.alerts.authenticity,
        alertbridge::authenticate::Settings::default()
    );
    // Without a file mail comes over loopback alone, and is taken at its word.
    assert!(built_in.alerts.authenticity.require.is_empty());
    shipped.alerts.authenticity.require.clear();
    assert_eq!(shipped, built_in);
}

#[test]
fn the_shipped_configuration_holds_with_every_option_uncommented() {
    // `#key: …` is an option, `# …` is prose; a list that is empty gives way to the items below
    // it.
    let mut text = String::new();
    for line in include_str!("../../deploy/alertbridge.yaml").lines() {
        let bare = line.trim_start();
        let option = bare.strip_prefix('#').filter(|rest| {
            !rest.starts_with(' ') && !rest.is_empty()
                || rest.starts_with("  ") && !rest.trim_start().starts_with('#')
        });
        match option {
            Some(option) => {
                let indent = &line[..line.len() - bare.len()];
                if let Some(before) = text
                    .strip_suffix(" []\n")
                    .filter(|_| option.starts_with('-'))
                {
                    text = format!("{before}\n");
                }
                text += &format!("{indent}{option}\n");
            }
            None if bare.starts_with('#') => {}
            None => text += &format!("{line}\n"),
        }
    }
    // `url` and `url_file` exclude each other, as do a password and `oauth2`; the schema's file
    // must be there.
    let schema = concat!("schema_file: ", env!("CARGO_MANIFEST_DIR"), "/schema/");
    let text = text
        .replace("  url: \"sqlite:alertbridge.db\"\n", "")
        .replace("schema_file: ", schema);
    let text = text.replace("password_file: /etc/alertbridge/imap-password\n", "\n");
    let config = parse(&text);
    assert_eq!(config.receivers.len(), 2);
    assert_eq!(config.ingress.imap.len(), 1);
    assert_eq!(config.route.routes.len(), 1);
    assert_eq!(config.time_intervals.len(), 1);
    assert_eq!(config.profiles.len(), 1);
}

#[test]
fn the_schema_in_the_repository_is_the_programs_own() {
    let own = format!("{:#}\n", Config::json_schema());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/config.schema.json");
    if updating() {
        fs::write(&path, &own).unwrap();
    }
    assert!(
        fs::read_to_string(path).unwrap() == own,
        "write it with: UPDATE_EXPECTED=1 tests/run the_schema_in_the_repository"
    );

    let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["schema", "config"])
        .output()
        .unwrap();
    assert!(updating() || output.stdout == own.as_bytes());
}

#[test]
fn the_schema_accepts_the_shipped_configuration() {
    let schema = Config::json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let minimal = serde_json::json!({
        "ingress": { "webhook": [{ "name": "mail" }],
                     "imap": [{ "name": "box", "after": { "move": "Done" } }] },
        "global": { "max_age": "1h30m" },
        "route": { "receiver": "stdout" },
        "receivers": [{ "name": "stdout", "stdout_configs": [{}] }],
    });
    assert!(
        validator.is_valid(&minimal),
        "{:?}",
        validator.iter_errors(&minimal).collect::<Vec<_>>()
    );
    assert!(!validator.is_valid(&serde_json::json!({ "recievers": [] })));
}
