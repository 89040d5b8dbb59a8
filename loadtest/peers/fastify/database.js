// One tenant's transaction: BEGIN, the settings that row security reads, the work, COMMIT.

import pg from "pg";

// bigint as a number: none of ours is beyond 2^53.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

export const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.CONNECTIONS),
  idleTimeoutMillis: 0,
});

// As in the platform's reads. With bitmap scans PostgreSQL fetches and sorts all videos of a tenant for a page; left to choose
// it may plan each read anew.
const SET = `select set_config('enable_bitmapscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
                    set_config('app.tenant_id', $1, true), set_config('app.member_id', $2, true), set_config('app.role', $3, true)`;

export async function inTenant({ tenant, member, role }, work) {
  const client = await pool.connect();
  try {
    await client.query("begin read only");
    await client.query({ name: "settings", text: SET, values: [tenant, member, role] });
    const answer = await work(client);
    await client.query("commit");
    client.release();
    return answer;
  } catch (error) {
    // Its transaction goes away with the connection.
    client.release(true);
    throw error;
  }
}
