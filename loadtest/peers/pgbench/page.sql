select v.version, v.id, v.tenant_id, v.title, v.description, v.status, v.rejection_code, v.rejection_detail,
       v.content_type, v.size_bytes, v.container, v.video_codec, v.audio_codec, v.width, v.height, v.duration_seconds,
       v.published_at, v.created_by, v.created_at, v.updated_at, p.position_seconds, p.completed, p.recorded_at
from (
    select * from (
        (select * from video where true and tenant_id = '{tenant}' and id < 'ffffffff-ffff-ffff-ffff-ffffffffffff'
            and (null::text is null or title_search like (select search_form(null)))
         order by id desc limit 21)
        union all
        (select * from video where true and tenant_id = platform_tenant() and published_at is not null
            and id < 'ffffffff-ffff-ffff-ffff-ffffffffffff' and (null::text is null or title_search like (select search_form(null)))
         order by id desc limit 21)
    ) both_lists order by id desc limit 21
) v
left join lateral (
    select position_seconds, completed, recorded_at from video_progress
    where tenant_id = '{tenant}' and member_id = '{member}' and video_tenant_id = v.tenant_id and video_id = v.id limit 1
) p on true
order by v.id desc;
