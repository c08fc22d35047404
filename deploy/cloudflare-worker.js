// A Cloudflare Email Worker that posts each mail, as it came, to an alertbridge webhook of `provider: raw`.
//
//   npx wrangler secret put ALERTBRIDGE_URL     https://bridge.example.com/ingress/mail
//   npx wrangler secret put ALERTBRIDGE_TOKEN   what the webhook's token_file holds
//
// Then route the address to the worker (Email > Email Routing > Email Workers). To throw is to tell Cloudflare that the
// mail was not taken; to return before the bridge has stored it would lose it.

export default {
  async email(message, env) {
    // The length is known, so the bridge can refuse what is too large before it is sent.
    const { readable, writable } = new FixedLengthStream(message.rawSize);
    const copied = message.raw.pipeTo(writable);
    const posted = fetch(env.ALERTBRIDGE_URL, {
      method: "POST",
      headers: { "content-type": "message/rfc822", authorization: `Bearer ${env.ALERTBRIDGE_TOKEN}` },
      body: readable,
      // A redirect would hand the token to somebody else.
      redirect: "error",
    });
    const [response] = await Promise.all([posted, copied]);
    if (response.status !== 202) {
      throw new Error(`alertbridge answered ${response.status}: ${await response.text()}`);
    }
  },
};
