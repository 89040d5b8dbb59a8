select v.version, v.id, v.tenant_id, v.title, v.description, v.status, v.rejection_code, v.rejection_detail,
       v.content_type, v.size_bytes, v.container, v.video_codec, v.audio_codec, v.width, v.height, v.duration_seconds,
       v.published_at, v.created_by, v.created_at, v.updated_at, p.position_seconds, p.completed, p.recorded_at
from video v
left join lateral (
    select position_seconds, completed, recorded_at from video_progress
    where tenant_id = '{tenant}' and member_id = '{member}' and video_tenant_id = v.tenant_id and video_id = v.id limit 1
) p on true
where v.tenant_id in ('{tenant}', platform_tenant()) and v.id = '{video}';
