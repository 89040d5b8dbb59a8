-- The index that finds a video's progress when the video is deleted. PostgreSQL may take it as well for one member's
-- progress, since nothing tells it that a video of the library has viewers everywhere: with the member in it, that is
-- as cheap as by the unique key, however many watch.
drop index video_progress_video;
create index video_progress_video on video_progress (video_tenant_id, video_id, tenant_id, member_id);
