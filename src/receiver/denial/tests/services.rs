use crate::receiver::denial::{denied, tests::reply};

/// Refusals with status 200, as services document them or were seen to send them.
const REFUSALS: &[(&str, &str)] = &[
    ("Splunk HEC", r#"{"text":"Invalid token","code":4}"#),
    ("Splunk HEC", r#"{"text":"Token disabled","code":1}"#),
    ("Splunk HEC", r#"{"text":"Token is required","code":2}"#),
    ("Splunk HEC", r#"{"text":"No data","code":5}"#),
    (
        "Splunk HEC",
        r#"{"text":"Incorrect index","code":7,"invalid-event-number":1}"#,
    ),
    ("Splunk HEC", r#"{"text":"Internal server error","code":8}"#),
    ("Splunk HEC", r#"{"text":"Server is busy","code":9}"#),
    (
        "Splunk HEC",
        r#"{"text":"Event field cannot be blank","code":13}"#,
    ),
    (
        "Shopify's GraphQL",
        r#"{"data":{"create":{"alert":null,"userErrors":[{"message":"too long"}]}}}"#,
    ),
    (
        "GraphQL",
        r#"{"data":{"create":null},"errors":[{"message":"Not authorized"}]}"#,
    ),
    ("GraphQL", r#"{"data":{"create":{"ok":false}}}"#),
    (
        "DingTalk",
        r#"{"status":1111,"wait":5,"errcode":130101,"errmsg":"send too fast"}"#,
    ),
    (
        "Viber",
        r#"{"status":12,"status_message":"Too many requests","chat_hostname":"SN"}"#,
    ),
    (
        "Vonage",
        r#"{"messages":[{"status":"9","error-text":"Partner quota exceeded"}]}"#,
    ),
    (
        "Mexediaon",
        r#"[{"accepted":false,"to":"34","error":{"code":102,"description":"x"}}]"#,
    ),
    ("HollaTags", "error_credit"),
    ("HollaTags", "error_user"),
    ("SureSMS", "Not enough kredits on your account."),
    ("SureSMS", "Wrong phone number"),
    ("IntelliSMS", "INSUFFICIENT_CREDIT"),
    ("IntelliSMS", "MSGID_INVALID"),
    ("IntelliSMS", "PARAMETER_MISSING"),
    ("iSMS", "-1001 AUTHENTICATION FAILED"),
    ("iSMS", "-1002 ACCOUNT SUSPENDED / EXPIRED"),
    ("iSMS", "-1004 INSUFFICIENT CREDITS"),
    ("API-X", "709: Insufficient balance"),
    ("API-X", "701: Username is empty"),
    ("API-X", "714: Unable to send message"),
    ("BulkSMS", "23|invalid credentials (username was: x)|"),
    (
        "an XML API",
        "<response status=\"error\"><message>bad key</message></response>",
    ),
    (
        "an XML API",
        "<Response><Code>401</Code><Message>Denied</Message></Response>",
    ),
    ("a counting API", r#"{"sent":0,"failed":1}"#),
    ("a counting API", r#"{"successful":[],"failed":["a"]}"#),
    ("a gateway", "The service is under maintenance"),
    ("a counting API", r#"{"accepted":0,"rejected":1}"#),
    ("a gateway", r#"{"http_status":403}"#),
    ("a gateway", r#"{"status":"throttled"}"#),
    ("a gateway", r#"{"message":"Quota exceeded"}"#),
    ("a gateway", r#"{"message":"Your trial has expired"}"#),
    (
        "a gateway",
        r#"{"message":"Missing required parameter: title"}"#,
    ),
    ("a gateway", "Rate limit exceeded"),
    (
        "a gateway",
        "Rate limit exceeded, message not sent. Try again later.",
    ),
    ("a gateway", "throttled"),
    ("a gateway", "Unknown user"),
    ("a gateway", "Webhook disabled"),
    ("a gateway", "Account suspended"),
    ("a gateway", "No route found for this webhook"),
    (
        "a gateway",
        "<html><head><title>Access denied</title></head></html>",
    ),
    (
        "SMS.ru",
        r#"{"status":"OK","status_code":100,"sms":{"79":{"status":"ERROR","status_code":207}}}"#,
    ),
    (
        "Infobip",
        r#"{"messages":[{"messageId":"b","status":{"groupId":5,"groupName":"REJECTED"}}]}"#,
    ),
    (
        "BulkSMS",
        r#"[{"id":"1","type":"SENT","status":{"id":"FAILED.NOT_SENT","type":"FAILED"}}]"#,
    ),
    (
        "Africa's Talking",
        r#"{"SMSMessageData":{"Recipients":[{"statusCode":403,"messageId":"None"}]}}"#,
    ),
    (
        "Africa's Talking",
        r#"{"SMSMessageData":{"Message":"Sent to 0/1 Total Cost: 0","Recipients":[]}}"#,
    ),
    ("a gateway", r#"{"status":"not_delivered"}"#),
    ("a gateway", r#"{"status":"not sent"}"#),
    ("a gateway", r#"{"message":"Message not sent"}"#),
    ("a gateway", "The message was not delivered"),
    ("a gateway", "Your alert has not been forwarded"),
    ("a gateway", "Nobody was notified"),
    (
        "a gateway",
        r#"{"status":"ignored","reason":"no matching route"}"#,
    ),
    ("a gateway", r#"{"result":"skipped"}"#),
    ("a gateway", r#"{"status":"suppressed"}"#),
    (
        "a gateway",
        r#"{"message":"Alert suppressed during a blackout"}"#,
    ),
    ("a gateway", "The event was ignored"),
    ("a gateway", "Queue full"),
    ("a gateway", "The queue is full"),
    (
        "a gateway",
        r#"{"message":"You have exceeded your monthly quota"}"#,
    ),
    ("a gateway", r#"{"message":"There is nobody on call"}"#),
    (
        "a gateway",
        r#"{"message":"No on-call user for this schedule"}"#,
    ),
    (
        "a gateway",
        r#"{"message":"Service in maintenance mode, event dropped"}"#,
    ),
    ("a gateway", r#"{"message":"This service is paused"}"#),
    ("a gateway", r#"{"message":"The recipient has opted out"}"#),
    ("a gateway", r#"{"message":"Endpoint request timed out"}"#),
    ("a gateway", r#"{"message":"Payment required"}"#),
    ("a gateway", r#"{"mensaje":"Token inválido"}"#),
    ("a gateway", r#"{"rc":-1}"#),
    ("a gateway", r#"{"retcode":"000001"}"#),
    ("a gateway", r#"{"valid":false}"#),
    ("a gateway", "status: error\nmessage: x\n"),
    (
        "a stream",
        "{\"status\":\"ok\"}\n{\"status\":\"error\",\"message\":\"no such user\"}\n",
    ),
    (
        "a function",
        "TypeError: Cannot read properties of undefined",
    ),
    (
        "a function",
        "Traceback (most recent call last):\n  File \"x\"",
    ),
    ("a function", r#"{"errorType":"Error","trace":[]}"#),
    (
        "PHP",
        "<br />\n<b>Fatal error</b>:  Uncaught Error in /var/www/hook.php:3",
    ),
    (
        "a proxy",
        "<html><head><title>Maintenance</title></head><body>Soon.</body></html>",
    ),
    ("a proxy", "<html><body><h1>Forbidden</h1></body></html>"),
    ("a proxy", "<h1 class=\"x\">We'll be back soon!</h1>"),
    (
        "Cloudflare",
        "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>",
    ),
    (
        "nginx",
        "<!DOCTYPE html><html><head><title>Welcome to nginx!</title></head></html>",
    ),
    (
        "a portal",
        "<html><head><meta http-equiv=\"refresh\" content=\"0;url=/login\"></head></html>",
    ),
    (
        "an app",
        "<!doctype html><html><head><title>Shop</title><script src=\"/a.js\"></script></head>\
         <body><noscript>Enable scripts</noscript><div id=\"root\"></div></body></html>",
    ),
];

/// Acceptances that look odd.
const ACCEPTANCES: &[(&str, &str)] = &[
    ("Splunk HEC", r#"{"text":"Success","code":0}"#),
    ("Splunk HEC", r#"{"text":"HEC is healthy","code":17}"#),
    (
        "Shopify's GraphQL",
        r#"{"data":{"create":{"alert":{"id":"1"},"userErrors":[]}}}"#,
    ),
    ("DingTalk", r#"{"errcode":0,"errmsg":"ok"}"#),
    (
        "Feishu",
        r#"{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}"#,
    ),
    (
        "ServerChan",
        r#"{"code":0,"message":"","data":{"pushid":"1","error":"SUCCESS","errno":0}}"#,
    ),
    (
        "Vonage",
        r#"{"message-count":"1","messages":[{"status":"0","message-id":"0C"}]}"#,
    ),
    (
        "MailUp",
        r#"{"Data":{"DeliveryId":16,"Cost":1.0},"Code":"0","Description":"","State":"DONE"}"#,
    ),
    (
        "HollaTags",
        "2348030000000,24137cf8-eccc-469c-80af-109538857e53",
    ),
    ("HollaTags", "sent"),
    ("iSMS", "2000 = SUCCESS"),
    ("API-X", "600: Message sent/scheduled successfully"),
    ("BulkSMS", "0|IN_PROGRESS|106"),
    (
        "Viber",
        r#"{"status":0,"status_message":"ok","message_token":5,"chat_hostname":"SN"}"#,
    ),
    ("Teams' connector", "1"),
    (
        "CDYNE",
        r#"{"Status":200,"Description":"Message sent successfully"}"#,
    ),
    (
        "Serverless proxy",
        r#"{"statusCode":200,"body":"{\"ok\":true}"}"#,
    ),
    (
        "Elasticsearch",
        r#"{"took":1,"errors":false,"items":[{"index":{"status":201}}]}"#,
    ),
    ("Mattermost", "ok"),
    ("IFTTT", "Congratulations! You've fired the alert event"),
    ("n8n", r#"{"message":"Workflow was started"}"#),
    ("Zulip", r#"{"id":42,"msg":"","result":"success"}"#),
    ("VictorOps", r#"{"result":"success","entity_id":"e"}"#),
    ("Squadcast", r#"{"meta":{"status":202}}"#),
    ("an API", r#"{"errors":0}"#),
    ("an API", r#"{"failed":0}"#),
    ("an API", r#"{"error":null}"#),
    ("an API", r#"{"status":"queued"}"#),
    ("an API", r#"{"code":200}"#),
    ("an API", r#"{"code":0}"#),
    ("an API", r#"{"code":1,"message":"No errors"}"#),
    ("an API", r#"{"message":"No errors"}"#),
    (
        "an API",
        r#"{"message":"Alert accepted, no route matched, using default"}"#,
    ),
    ("an API", r#"{"message":"Unknown severity, using default"}"#),
    ("an API", r#"{"message":"Message too long, truncated"}"#),
    (
        "an API",
        r#"{"message":"Rate limit exceeded: delayed by 5 s"}"#,
    ),
    ("an API", "Server is busy, retrying in the background"),
    (
        "an API",
        r#"{"message":"Rate limit exceeded, message queued"}"#,
    ),
    ("an API", r#"{"message":"No limit exceeded"}"#),
    ("an API", r#"{"rate_limit":{"limit":5,"remaining":0}}"#),
    (
        "an API",
        r#"{"code":1,"message":"Ticket created, but its owner was not found"}"#,
    ),
    (
        "an API",
        r#"{"status":"ok","text":"Unknown fields were ignored"}"#,
    ),
    ("an API", r#"{"text":"Error: bad"}"#),
    ("an API", r#"{"http_status":202}"#),
    ("an API", "0 rejected"),
    (
        "an API",
        "Queued. Rate limit: 5 per minute, otherwise an error.",
    ),
    (
        "an API",
        "Send a POST with JSON. The field title is required.",
    ),
    (
        "SMS.ru",
        r#"{"status":"OK","sms":{"79":{"status":"ERROR"},"78":{"status":"OK","sms_id":"0"}}}"#,
    ),
    (
        "Infobip",
        r#"{"messages":[{"messageId":"a","status":{"groupId":1,"groupName":"PENDING"}}]}"#,
    ),
    (
        "Infobip",
        r#"{"messages":[{"status":{"groupName":"PENDING"}},{"status":{"groupName":"REJECTED"}}]}"#,
    ),
    (
        "BulkSMS",
        r#"[{"id":"1","type":"SENT","status":{"id":"ACCEPTED.null","type":"ACCEPTED"}}]"#,
    ),
    (
        "Africa's Talking",
        r#"{"SMSMessageData":{"Recipients":[{"statusCode":101,"messageId":"AT"}]}}"#,
    ),
    (
        "Africa's Talking",
        r#"{"SMSMessageData":{"Message":"Sent to 1/1 Total Cost: KES 0.8"}}"#,
    ),
    (
        "MessageBird",
        r#"{"id":"e8","recipients":{"items":[{"recipient":31,"status":"sent"}]}}"#,
    ),
    (
        "a counting API",
        r#"{"sent":1,"failed":1,"errors":[{"to":"x","error":"invalid number"}]}"#,
    ),
    ("an API", r#"{"message":"Duplicate alert ignored"}"#),
    ("an API", r#"{"status":"ignored","reason":"duplicate"}"#),
    ("an API", r#"{"status":"skipped","message":"Already open"}"#),
    (
        "an API",
        r#"{"status":"ok","message":"Suppressed during blackout period"}"#,
    ),
    ("an API", r#"{"id":"7","status":"suppressed"}"#),
    ("an API", r#"{"message":"Email not sent, SMS sent"}"#),
    ("an API", "Alert accepted; escalation is paused"),
    ("an API", "Schedule is paused, alert stored"),
    (
        "an API",
        r#"{"message":"Alert received, nobody is on call, sent to the manager"}"#,
    ),
    ("an API", r#"{"message":"No errors sent"}"#),
    ("an API", r#"{"message":"Not a duplicate: created"}"#),
    ("an API", r#"{"message":"Sent to 10/10"}"#),
    ("an API", "Queue: 3 of 10"),
    ("an API", r#"{"queue":"full_stack","status":"queued"}"#),
    ("an API", r#"{"rc":0}"#),
    ("an API", r#"{"retcode":"000000"}"#),
    ("an API", r#"{"valid":true}"#),
    ("an API", "status: ok\nmessage: x\n"),
    (
        "a stream",
        "{\"status\":\"started\"}\n{\"status\":\"ok\"}\n",
    ),
    ("a stream", "{\"error\":\"retrying\"}\n{\"ok\":true}\n"),
    ("an API", "NoError: taken"),
    (
        "a page",
        "<html><head><title>Alerts</title><script src=\"/a.js\"></script></head><body>Taken</body>",
    ),
    ("a page", "<h1>Thank you</h1>"),
    (
        "a page",
        "<html><head><title>OK</title></head><body>The maintenance page has moved</body></html>",
    ),
    (
        "a chat",
        "<html><head><title>Chat</title></head><body>Delivered. Errors: none</body></html>",
    ),
    (
        "a chat",
        "<html><body>Thank you. Alert received.</body></html>",
    ),
];

#[test]
fn refusals_with_200_that_services_send_are_seen() {
    for (service, said) in REFUSALS {
        let verdict = denied(&reply(said, None), || None);
        assert!(verdict.is_some(), "{service}: {said}");
    }
}

#[test]
fn acceptances_that_look_odd_are_deliveries() {
    for (service, said) in ACCEPTANCES {
        assert_eq!(
            denied(&reply(said, None), || None),
            None,
            "{service}: {said}"
        );
    }
}
