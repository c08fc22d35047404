use super::*;

fn google() -> Oauth2 {
    Oauth2 {
        provider: Provider::Google,
        client_id: "id".into(),
        client_secret: Some("secret".into()),
        refresh_token_file: Some("/var/lib/alertbridge/refresh-token".into()),
        ..Oauth2::default()
    }
}

fn microsoft() -> Oauth2 {
    let tenant = Some("example.onmicrosoft.com".into());
    Oauth2 {
        provider: Provider::Microsoft,
        tenant,
        refresh_token_file: None,
        ..google()
    }
}

#[test]
fn good_settings_have_no_problems() {
    let token_url = Some("https://login.example.com/token".to_owned());
    let custom = Oauth2 {
        provider: Provider::Custom,
        token_url,
        ..google()
    };
    let delegated = Oauth2 {
        client_secret: None,
        ..microsoft()
    };
    let delegated = Oauth2 {
        refresh_token_file: google().refresh_token_file,
        ..delegated
    };
    for settings in [google(), microsoft(), delegated, custom] {
        assert_eq!(settings.check("k"), [], "{settings:?}");
        assert_eq!(settings.warnings("k"), []);
    }
}

#[test]
fn every_problem_names_its_key() {
    let custom = || Oauth2 {
        provider: Provider::Custom,
        ..google()
    };
    let spoilt = [
        (
            "k.client_id",
            Oauth2 {
                client_id: " ".into(),
                ..google()
            },
        ),
        (
            "k",
            Oauth2 {
                refresh_token_file: None,
                ..google()
            },
        ),
        (
            "k",
            Oauth2 {
                client_secret: None,
                ..google()
            },
        ),
        (
            "k",
            Oauth2 {
                client_secret: None,
                ..microsoft()
            },
        ),
        (
            "k.refresh_token",
            Oauth2 {
                refresh_token: Some("x".into()),
                ..google()
            },
        ),
        (
            "k.client_secret",
            Oauth2 {
                client_secret_file: Some("x".into()),
                ..google()
            },
        ),
        (
            "k.tenant",
            Oauth2 {
                tenant: None,
                ..microsoft()
            },
        ),
        (
            "k.tenant",
            Oauth2 {
                tenant: Some("a/b".into()),
                ..microsoft()
            },
        ),
        (
            "k.tenant",
            Oauth2 {
                tenant: Some("x".into()),
                ..google()
            },
        ),
        ("k.token_url", custom()),
        (
            "k.token_url",
            Oauth2 {
                token_url: Some("login.example.com".into()),
                ..custom()
            },
        ),
        (
            "k.device_url",
            Oauth2 {
                device_url: Some("file:///x".into()),
                ..google()
            },
        ),
    ];
    for (key, settings) in spoilt {
        let keys: Vec<String> = settings
            .check("k")
            .into_iter()
            .map(|problem| problem.key)
            .collect();
        assert_eq!(keys, [key], "{settings:?}");
    }
}

#[test]
fn what_works_and_is_unwise_is_warned_of() {
    let inline = Oauth2 {
        refresh_token: Some("x".into()),
        refresh_token_file: None,
        ..google()
    };
    assert_eq!(inline.warnings("k")[0].key, "k.refresh_token");
    let open = Oauth2 {
        token_url: Some("http://login.example.com/".into()),
        ..google()
    };
    assert_eq!(open.warnings("k")[0].key, "k.token_url");
    let loopback = Oauth2 {
        token_url: Some("http://127.0.0.1:8080/".into()),
        ..google()
    };
    assert_eq!(loopback.warnings("k"), []);
}

#[test]
fn a_providers_addresses_and_scopes_are_known() {
    let microsoft = microsoft();
    let base = "https://login.microsoftonline.com/example.onmicrosoft.com/oauth2/v2.0";
    assert_eq!(microsoft.token_url(), Some(format!("{base}/token")));
    assert_eq!(microsoft.device_url(), Some(format!("{base}/devicecode")));
    assert_eq!(
        microsoft.scopes(),
        ["https://outlook.office365.com/.default"]
    );
    assert_eq!(google().device_url(), None);
    assert_eq!(google().scopes(), ["https://mail.google.com/"]);
    assert_eq!(Oauth2::default().scopes(), [""; 0]);
}
