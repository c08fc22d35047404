//! A server whose disk is full: it says so only when it is written to. Strangers are refused from
//! then on, so that what is left, or freed, is for alerts.

use super::Database;
use crate::{
    delivery::trigger,
    e2e::DOORS,
    harness::{Bridge, client, smtp_try},
};

const FULL: &str = "
CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END \
    $$;
CREATE TRIGGER is_full BEFORE INSERT ON bodies FOR EACH ROW EXECUTE FUNCTION is_full()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_mail_found_no_room_strangers_are_refused_before_alerts() {
    let (database, folder) = (Database::create().await, tempfile::tempdir().unwrap());
    let config = format!(
        "{}
ingress:
  http: {{ listen: '127.0.0.1:0' }}
  webhook: [{{ name: http }}]
  smtp: [{{ name: smtp, listen: '127.0.0.1:0', recipients: ['alerts@example.com'] }}]
route: {{ receiver: out }}
receivers: [{{ name: out, stdout_configs: [{{}}] }}]",
        DOORS.replace("sqlite:alertbridge.db", &database.url())
    );
    let bridge = Bridge::start(folder.path(), &config);
    let stranger = b"From: stranger@example.org\r\nSubject: offer\r\n\r\nbuy\r\n";
    let post = async |mail: &[u8]| {
        let request = client()
            .post(&bridge.http)
            .header("content-type", "message/rfc822")
            .body(mail.to_vec());
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(post(stranger).await, 202);
    let client = database.client().await;
    client.batch_execute(FULL).await.unwrap();
    assert_eq!(post(&trigger("a")).await, 503, "it comes again");
    assert_eq!(post(stranger).await, 507);
    let refused = smtp_try(bridge.smtp.unwrap(), stranger).unwrap_err();
    assert!(refused.to_string().contains("452"), "{refused}");
    client
        .batch_execute("DROP TRIGGER is_full ON bodies")
        .await
        .unwrap();
    assert_eq!(post(&trigger("a")).await, 202);
    assert_eq!(post(stranger).await, 507, "for a while");
}
