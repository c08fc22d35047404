// A Cloudflare Email Worker that posts each mail, unchanged, to an alertbridge webhook with `provider: raw`.
//
//   npx wrangler secret put ALERTBRIDGE_URL     https://bridge.example.com/ingress/mail
//   npx wrangler secret put ALERTBRIDGE_TOKEN   what the webhook's token_file holds
//
// Then route the address to the worker (Email > Email Routing > Email Workers). If the worker throws, Cloudflare knows
// that the mail was not accepted. If it returned before the bridge has stored the mail, the mail would be lost.

export default {
  async email(message, env) {
    // The request states its length, so that the bridge can refuse a mail that is too large before it is sent.
    const { readable, writable } = new FixedLengthStream(message.rawSize);
    const copied = message.raw.pipeTo(writable);
    const posted = fetch(env.ALERTBRIDGE_URL, {
      method: "POST",
      headers: { "content-type": "message/rfc822", authorization: `Bearer ${env.ALERTBRIDGE_TOKEN}` },
      body: readable,
      // A redirect would give the token to somebody else.
      redirect: "error",
    });
    const [response] = await Promise.all([posted, copied]);
    if (response.status !== 202) {
      throw new Error(`alertbridge answered ${response.status}: ${await response.text()}`);
    }
  },
};
