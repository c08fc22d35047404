use super::reply;
use crate::{
    delivery::Verdict,
    receiver::{
        denial::{denied, judge, pairs},
        partial,
    },
};

/// A reply may contain several values, be cut off, or be no JSON at all.
#[test]
fn a_refusal_is_read_in_whatever_form_it_comes() {
    for refused in [
        "{\"ok\":false,\"error\":\"x\"}\n{\"ok\":false}\n",
        "{\"ok\":false,}",
        "{\"ok\":false,\"trace\":\"xxxxxxx",
        "success=false",
        "success=false&msg=x",
        "status=error\nmessage=x",
        "error=invalid+token&code=5",
        "cb({\"ok\":false});",
        "/**/ typeof cb === 'function' && cb({\"error\":\"x\"});",
        ")]}',\n{\"ok\":false}",
        "while(1);{\"ok\":false}",
        "for(;;);{\"ok\":false}",
        "\u{FEFF}{\"ok\":false}",
        "\"{\\\"ok\\\":false}\"",
        "<response><status>error</status><message>bad</message></response>",
        "<?xml version=\"1.0\"?><rsp stat=\"fail\"><err code=\"100\" msg=\"x\"/></rsp>",
        "<reply><result>failed</result></reply>",
        "<r><success>false</success></r>",
        "<r><status code=\"401\">x</status></r>",
        "<s:Envelope xmlns:s=\"x\"><s:Header/><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>\
         </s:Code></s:Fault></s:Body></s:Envelope>",
        "<e:Envelope xmlns:e=\"x\"><e:Body><Answer><ok>false</ok></Answer></e:Body></e:Envelope>",
    ] {
        let verdict = denied(&reply(refused, None), || None);
        assert!(verdict.is_some(), "{refused}");
    }
    for taken in [
        "{\"ok\":true,\"tr",
        "success=true",
        "Failed=0, sent=1",
        "a=b",
        "{\"ok\":fal",
        "cb({\"ok\":true})",
        ")]}'\n{\"id\":7,\"error\":\"late\"}",
        "sent (while(1); never ends)",
        "<response><status>ok</status><errors/></response>",
        "<response><errors>0</errors><sent>1</sent></response>",
        "<e:Envelope xmlns:e=\"x\"><e:Body><Answer><ok>true</ok></Answer></e:Body></e:Envelope>",
    ] {
        assert_eq!(denied(&reply(taken, None), || None), None, "{taken}");
    }
    assert_eq!(pairs("no pair"), None);
    assert!(partial::read("success=false").is_none());
}

/// If a sign-in answered, the page was not heard; if a page for people answered, it may have been.
#[test]
fn a_sign_in_in_between_takes_no_page() {
    for (page, is_sign_in) in [
        (
            "<!DOCTYPE html><form><input type=\"password\"></form>",
            true,
        ),
        (
            "<html><body><INPUT name=p TYPE='password'></body></html>",
            true,
        ),
        (
            "<html><body>Thank you. Alert received.</body></html>",
            false,
        ),
        ("the field has type=password", false),
    ] {
        let verdict = judge(&reply(page, None), || None);
        let is_given_up = matches!(verdict, Verdict::Permanent { .. });
        assert_eq!(is_given_up, is_sign_in, "{page}: {verdict:?}");
    }
}
