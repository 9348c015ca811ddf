// The certified provider of npm (oidc-provider) with one client for each algorithm. Arguments: port, redirect URI, secret.
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const [port, redirectUri, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const pair = (kind, options) => generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' });
const keys = [
  { ...pair('rsa', { modulusLength: 2048 }), use: 'sig', kid: 'rsa' },
  { ...pair('ec', { namedCurve: 'P-256' }), use: 'sig', kid: 'ec' },
  { ...pair('ed25519'), use: 'sig', kid: 'ed' },
];
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const clients = algorithms.map((algorithm) => ({
  client_id: algorithm,
  client_secret: secret,
  redirect_uris: [redirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  id_token_signed_response_alg: algorithm,
  userinfo_signed_response_alg: algorithm === 'ES256' ? 'ES256' : undefined,
}));
const provider = new Provider(issuer, {
  clients,
  jwks: { keys },
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'offline_access', 'email', 'profile', 'groups'],
  enabledJWA: { idTokenSigningAlgValues: algorithms, userinfoSigningAlgValues: ['ES256'] },
  features: { devInteractions: { enabled: true }, revocation: { enabled: true }, jwtUserinfo: { enabled: true } },
  issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  findAccount: async (ctx, sub) => ({
    accountId: sub,
    claims: async () => ({ sub, email: `${sub}@example.org`, email_verified: true, name: 'Nora', groups: ['staff'] }),
  }),
  cookies: { keys: ['a key for tests only'] },
});
provider.listen(Number(port), '127.0.0.1');
