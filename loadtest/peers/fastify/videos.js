// The two reads: one video, and a page of the newest.

/** The platform's own library belongs to this tenant. */
const LIBRARY = "00000000-0000-7000-8000-000000000001";
const LAST = "ffffffff-ffff-ffff-ffff-ffffffffffff";

const SHOWN = `
  select v.id, v.tenant_id, v.title, v.description, v.status, v.rejection_code, v.rejection_detail, v.content_type,
         v.size_bytes, v.container, v.video_codec, v.audio_codec, v.width, v.height, v.duration_seconds, v.published_at,
         v.created_by, v.created_at, v.updated_at, p.position_seconds, p.completed, p.recorded_at`;

const WATCHED = `
  left join lateral (
    select position_seconds, completed, recorded_at from video_progress
    where tenant_id = $1 and member_id = $2 and video_tenant_id = v.tenant_id and video_id = v.id limit 1
  ) p on true`;

const POINT = `${SHOWN} from video v ${WATCHED} where v.tenant_id in ($1, '${LIBRARY}') and v.id = $3`;

const PAGE = `
  ${SHOWN}
  from (
    select * from (
      (select * from video where tenant_id = $1 and id < $3 order by id desc limit $4)
      union all
      (select * from video where tenant_id = '${LIBRARY}' and published_at is not null and id < $3
        order by id desc limit $4)
    ) both_lists order by id desc limit $4
  ) v
  ${WATCHED}
  order by v.id desc`;

export async function point(client, { tenant, member }, id) {
  const { rows } = await client.query({ name: "point", text: POINT, values: [tenant, member, id] });
  return rows.length ? present(rows[0]) : null;
}

export async function page(client, { tenant, member }, { limit, cursor }) {
  const after = cursor ? uuid(Buffer.from(cursor, "base64url")) : LAST;
  // One more than wanted tells whether there is a next page.
  const { rows } = await client.query({ name: "page", text: PAGE, values: [tenant, member, after, limit + 1] });
  const items = rows.slice(0, limit).map(present);
  const next = rows.length > limit ? bytes(items.at(-1).id).toString("base64url") : null;
  return { items, next_cursor: next };
}

const bytes = (id) => Buffer.from(id.replaceAll("-", ""), "hex");

const uuid = (buffer) => buffer.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

function present(row) {
  return {
    id: row.id,
    scope: row.tenant_id === LIBRARY ? "library" : "tenant",
    title: row.title,
    description: row.description,
    status: row.status,
    rejection: row.rejection_code === null ? null : { code: row.rejection_code, detail: row.rejection_detail ?? "" },
    content_type: row.content_type,
    size_bytes: row.size_bytes,
    container: row.container,
    video_codec: row.video_codec,
    audio_codec: row.audio_codec,
    width: row.width,
    height: row.height,
    duration_seconds: row.duration_seconds,
    published_at: row.published_at,
    created_by: row.created_by,
    created_at: row.created_at,
    updated_at: row.updated_at,
    progress:
      row.position_seconds === null
        ? null
        : { position_seconds: row.position_seconds, completed: row.completed, recorded_at: row.recorded_at },
  };
}
