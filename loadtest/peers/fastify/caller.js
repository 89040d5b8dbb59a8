// Who is calling: the token's signature and claims, and then the member's row.

import { createRemoteJWKSet, jwtVerify } from "jose";
import { inTenant } from "./database.js";

const { ISSUER, AUDIENCE, JWKS_URL, TOKEN_CACHE } = process.env;

/** Milliseconds for which a member's standing is believed, as long as the platform does. */
const STANDING_AGE = 3000;
/** Where a cache is emptied; the benchmark's callers are far fewer. */
const MANY = 50_000;

const keys = createRemoteJWKSet(new URL(JWKS_URL));
const standings = new Map();
// Only with TOKEN_CACHE=1, to see what remembering verified tokens is worth here.
const verified = new Map();

export async function authenticate(header) {
  if (!header?.startsWith("Bearer ")) return null;
  const claims = await claimsOf(header.slice("Bearer ".length));
  if (!claims) return null;
  const tenant = claims["custom:tenantId"];
  const standing = await standingOf(tenant, claims.sub);
  const admitted =
    standing?.status === "active" && standing.tenant_status === "active" && claims.iat * 1000 > standing.not_before;
  return admitted ? { tenant, member: standing.id, role: standing.role } : null;
}

async function claimsOf(token) {
  if (TOKEN_CACHE === "1") {
    const known = verified.get(token);
    if (known && known.exp * 1000 > Date.now()) return known;
  }
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ["RS256"],
      issuer: ISSUER,
      audience: AUDIENCE,
      requiredClaims: ["exp", "iat", "sub", "custom:tenantId"],
    });
    if (payload.token_use !== "id") return null;
    if (TOKEN_CACHE === "1") remember(verified, token, payload);
    return payload;
  } catch {
    return null;
  }
}

async function standingOf(tenant, subject) {
  const key = `${tenant} ${subject}`;
  const known = standings.get(key);
  if (known && known.until > Date.now()) return known.standing;
  const standing = await inTenant({ tenant, member: "", role: "system" }, async (client) => {
    const { rows } = await client.query({
      name: "standing",
      text: `select m.id, m.role, m.status, t.status as tenant_status,
                    (extract(epoch from m.not_before) * 1000)::float8 as not_before
             from member m join tenant t on t.id = m.tenant_id
             where m.tenant_id = $1 and m.subject = $2`,
      values: [tenant, subject],
    });
    return rows[0] ?? null;
  });
  remember(standings, key, { standing, until: Date.now() + STANDING_AGE });
  return standing;
}

function remember(cache, key, value) {
  if (cache.size >= MANY) cache.clear();
  cache.set(key, value);
}
