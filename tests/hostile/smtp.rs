//! Whatever a client sends, the server answers in SMTP, comes to an end, and stores nothing it
//! should not.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{alone, checks};

/// What conversations are made of, and what breaks them.
const PIECES: [&[u8]; 40] = [
    b"EHLO c\r\n",
    b"HELO c\r\n",
    b"MAIL FROM:<>\r\n",
    b"MAIL FROM:<a@b.test> SIZE=9 BODY=8BITMIME SMTPUTF8\r\n",
    b"MAIL FROM:<a@b.test> SIZE=99999999999999999999\r\n",
    b"RCPT TO:<alerts@example.com>\r\n",
    b"RCPT TO:<alerts@example.com>\r\n",
    b"RCPT TO:<a@elsewhere.test>\r\n",
    b"RCPT TO:<@elsewhere.test:alerts@example.com>\r\n",
    b"RCPT TO:<\"a@elsewhere.test\"@example.com>\r\n",
    b"RCPT TO:<postmaster>\r\n",
    b"RCPT TO:<\"postmaster\">\r\n",
    b"DATA\r\n",
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"BDAT 12 LAST\r\n",
    b"BDAT 0 LAST\r\n",
    b"BDAT 99999999999999999999\r\n",
    b"BDAT 18446744073709551615 LAST\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"STARTTLS\r\n",
    b"VRFY a\r\n",
    b"Subject: a\r\n",
    b"text\r\n",
    b"\r\n.\r\n",
    b".\r\n",
    b"..\r\n",
    b"\n.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r",
    b"\n",
    b"\0",
    b"\"",
    b"\\",
    b"<",
    b"\xc3\xa4\xff",
    b"QUIT\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None,
                                        ..ProptestConfig::default() })]

    #[test]
    fn no_conversation_of_known_pieces_breaks_the_server(
        pieces in vec(select(&PIECES[..]), 0..60),
        cut in 1_u8..200,
    ) {
        let _alone = alone();
        // Most begin well, so that what follows is reached.
        let input = [PIECES[0], PIECES[2],
                     PIECES[5]].into_iter().chain(pieces).collect::<Vec<_>>().concat();
        checks::smtp::check(&[&[cut], &input[..]].concat());
    }

    #[test]
    fn no_bytes_break_the_server(input in vec(any::<u8>(), 0..2000), cut in 1_u8..200) {
        let _alone = alone();
        checks::smtp::check(&[&[cut], &input[..]].concat());
    }
}
