-- A store as version 13 leaves it: an open incident still owed a page, one that is over, a mail in the quarantine, one of two
-- alerts, and mail that is expected.
INSERT INTO incidents VALUES
    (1, 'open', 'incident', 'firing', 'ANOMALOUS', 1772366400000000, true, false, 1, 1772366400000000, 1772366400000000,
     '{"incident_id":"open","app_key":"com.example","severity":"warning"}', '{"severity":"critical"}',
     'atlassian-sli', 1772366400000000),
    (2, 'over', 'incident', 'resolved', 'OK', 1772366400000000, true, false, 1, 1772366300000000, 1772366400000000, '{}', NULL,
     'atlassian-sli', 1772366400000000);
INSERT INTO mails (id, ingress, arrived_at, size, cut_from, sha256, envelope, authenticity, outcome, reason, incident,
                   labels, decided_at, owed) VALUES
    (1, 'smtp', 1772366400000000, 3, NULL, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', '{"peer":"127.0.0.1","helo":"x","mail_from":"","rcpt_to":["a@b"]}',
     '{"verdict":"off","evidence":null,"domain":null,"detail":null}', 'opened', NULL, 1, '{"incident_id":"open"}', 1772366400000000, 2),
    (2, 'imap', 1772366400000000, 3, NULL, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', NULL,
     '{"verdict":"off","evidence":null,"domain":null,"detail":null}', 'resolved', '2 alerts: 1 resolved, 1 duplicate', NULL, '{}', 1772366400000000, 0),
    (3, 'imap', 1772366400000000, 3, 20000000, 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', NULL,
     '{"verdict":"off","evidence":null,"domain":null,"detail":null}', 'quarantined', 'too large', NULL, NULL, 1772366400000000, 0);
-- zstd of "abc"
INSERT INTO mail_items (mail, item, outcome, reason, incident, labels, decided_at) VALUES
    (2, 1, 'duplicate', 'known', 1, '{}', 1772366400000000), (2, 2, 'resolved', NULL, 2, '{}', 1772366400000000);
INSERT INTO expected_mail (profile, key, heard_at) VALUES ('backup', 'nightly', 1772366400000000);
INSERT INTO bodies VALUES (1, '\x28b52ffd2003190000616263'), (2, '\x28b52ffd2003190000616263'), (3, '\x28b52ffd2003190000616263');
INSERT INTO applied VALUES (1, 'ANOMALOUS', 1772366400000000, true, 'smtp', 1772366401000000),
    (2, 'OK', 1772366400000000, true, 'imap', 1772366401000000);
INSERT INTO openings VALUES ('com.example', 'm', 492324, 0, 1);
INSERT INTO bookmarks VALUES ('mailbox', 1, 2, 1700000000000000);
INSERT INTO deliveries (id, mail, incident, episode, receiver, integration, action, alias, notification, state, step,
                        failures, next_at, created_at, settled_at, detail) VALUES
    (1, 1, 1, 1, 'oncall', 'opsgenie/0', 'trigger', 'open:oncall',
     '{"action":"trigger","incident_id":"open","labels":{"severity":"critical"},"incident":null,"arrived_at":"2026-03-01T12:00:00Z"}',
     'pending', '{"step":"send"}', 1, 1772366460000000, 1772366400000000, NULL, NULL),
    (2, 1, 1, 1, 'chat', 'slack/0', 'trigger', 'open:chat',
     '{"action":"trigger","incident_id":"open","labels":{"severity":"critical"},"incident":null,"arrived_at":"2026-03-01T12:00:00Z"}',
     'delivered', '{"step":"send"}', 0, NULL, 1772366400000000, 1772366401000000, NULL);
INSERT INTO attempts (delivery, at, took_ms, result, detail) VALUES (1, 1772366400000000, 12, 'server_error', 'HTTP 500'),
    (2, 1772366401000000, 9, 'delivered', 'delivered');
INSERT INTO wanted_mails (mailbox, uid_validity, uid, since, told) VALUES ('imap://u@h:993/INBOX', 7, 3, 0, true);
-- Somebody retried a page, was answered, and is signed in.
INSERT INTO deeds (at, by, via, action, subject, outcome) VALUES (1772366400000000, 'alice', 'api', 'retry', 'delivery 1', 'done');
INSERT INTO answers (key, request, at, status, content_type, body) VALUES ('k', 'POST /', 1772366400000000, 200, 'application/json', '{}');
INSERT INTO sessions (id, name, role, how, stamp, begun_at, ends_at) VALUES ('s', 'alice', 'operator', 'users_file', 'x', 1772366400000000, 1772409600000000);
-- Canaries: one that came through, one that could not be sent.
INSERT INTO canary_key (id, key) VALUES (1, '\xabababababababababababababababababababababababababababababababab');
INSERT INTO canaries (number, begun_at, sent_at, arrived_at, judged_at, read_at, decided_at, mail, failure, pinged_at) VALUES
    (1, 1772366400000000, 1772366400100000, 1772366401000000, 1772366401000000, 1772366401100000, 1772366401200000, 3, NULL, 1772366402000000),
    (2, 1772367300000000, NULL, NULL, NULL, NULL, NULL, NULL, 'no connection', NULL);
-- A receiver was renamed, and an entry removed.
INSERT INTO integrations (receiver, integration, place, fingerprint, address, next_receiver, next_integration) VALUES
    ('oncall', 'opsgenie/0', 0, 'w1', 'a1', NULL, NULL),
    ('chat', 'slack/0', NULL, 'w2', 'a2', 'talk', 'slack/0'),
    ('chat', 'slack/1', NULL, 'w3', 'a3', NULL, NULL),
    ('talk', 'slack/0', 0, 'w2', 'a2', NULL, NULL);
