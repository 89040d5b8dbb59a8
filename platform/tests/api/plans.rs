//! Every list is read along an index that begins with the tenant, as PostgreSQL itself tells: `auto_explain` writes the
//! plan of each statement into the server's log.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::support::TestApp;

/// Rows enough that reading whole tables is not the cheapest way.
const ROWS: &str = "
    insert into tenant (id, kind, name, status, storage_limit_bytes)
        select ('00000000-0000-7000-a000-' || lpad(n::text, 12, '0'))::uuid, 'business', 'Gym',
               case when n <= 40 then 'active' else 'pending' end, 1
        from generate_series(1, 3000) n;
    insert into member (tenant_id, id, subject, full_name, role, status)
        select t.id, gen_random_uuid(), 'subject ' || t.id || n, 'Somebody', 'athlete', 'active'
        from tenant t, generate_series(1, 400) n where t.kind = 'business' and t.status = 'active';
    insert into member_contact (tenant_id, id, email)
        select tenant_id, id, id || '@many.example' from member on conflict do nothing;
    insert into invitation (tenant_id, id, email, role, invited_by, expires_at)
        select t.id, gen_random_uuid(), n || '@many.example', 'athlete', m.id, now() + interval '1 day'
        from tenant t, lateral (select id from member where tenant_id = t.id limit 1) m, generate_series(1, 200) n
        where t.kind = 'business' and t.status = 'active';
    insert into video (tenant_id, id, title, status, content_type, size_bytes, object_key, upload_expires_at, published_at)
        select t.id, gen_random_uuid(), 'Squats', 'ready', 'video/mp4', 1, 'k', now(), now()
        from tenant t, generate_series(1, 300) n where t.status = 'active';
    insert into video_progress (tenant_id, id, member_id, video_tenant_id, video_id, position_seconds, recorded_at)
        select v.tenant_id, gen_random_uuid(), m.id, v.tenant_id, v.id, 1, now()
        from video v, lateral (select id from member where tenant_id = v.tenant_id limit 3) m;
    analyze";

#[tokio::test]
async fn every_list_of_a_business_is_read_along_an_index_that_begins_with_the_tenant() {
    let app = TestApp::start().await;
    let (tenant_led, log) = (led_by_tenant(&app).await, log_of(&app).await);
    if !have_explained(&app).await {
        return;
    }
    let document: Value = serde_json::from_str(&platform::server::document().unwrap()).unwrap();
    let lists: Vec<_> = document["paths"].as_object().unwrap().iter().filter(is_list).collect();
    for known in ["/api/v1/videos", "/api/v1/members", "/api/v1/admin/library/videos"] {
        assert!(lists.iter().any(|(path, _)| *path == known), "{lists:?}");
    }
    for (path, methods) in lists {
        let callers = match path.starts_with("/api/v1/admin") {
            true => vec![app.operator()],
            false => ["owner", "coach", "athlete"].map(|person| app.acme().person(person)).into(),
        };
        let path = path.replace("{id}", app.acme().tenant_id());
        let mut asked = 0;
        for (user, filter) in callers.iter().flat_map(|user| filters(&document, methods).map(move |f| (user, f))) {
            let first = user.get(&format!("{path}?limit=3{filter}")).await;
            // Not everybody may read every list.
            if first.status == 403 {
                continue;
            }
            let first = first.assert(200).body;
            let cursor = first["next_cursor"].as_str().expect("there are more");
            // From the sixth time on PostgreSQL may take a plan that is good for any values.
            for _ in 0..8 {
                user.get(&format!("{path}?limit=3{filter}&cursor={cursor}")).await.assert(200);
            }
            asked += 1;
        }
        assert!(asked > 0, "nobody may read {path}");
    }
    app.stop().await;

    let mut read = BTreeMap::<String, BTreeSet<String>>::new();
    for plan in plans_in(&std::fs::read_to_string(log).unwrap()) {
        scans(&plan["Plan"], &tenant_led, plan["Query Text"].as_str().unwrap(), &mut read);
    }
    for table in ["video", "video_progress", "member", "invitation"] {
        assert!(read.contains_key(table), "no plan that reads {table} was logged: {read:?}");
    }
}

/// Has the plans of everything that is asked from now on written to the log, unless that is not installed.
async fn have_explained(app: &TestApp) -> bool {
    let mut superuser = app.superuser().await;
    if let Err(error) = sqlx::raw_sql("load 'auto_explain'").execute(&mut superuser).await {
        println!("skipped: plans of lists, since PostgreSQL's auto_explain is not installed ({error})");
        return false;
    }
    sqlx::raw_sql(ROWS).execute(&mut superuser).await.unwrap();
    for (setting, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_format", "json"),
    ] {
        // Names and values of our own.
        let text = format!("alter database {} set {setting} = '{value}'", app.database_name);
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut superuser).await.unwrap();
    }
    true
}

/// Lists of all tenants' things, which operators read: their indexes are those of the things.
const ACROSS: [&str; 3] = ["/api/v1/admin/tenants", "/api/v1/admin/audit", "/api/v1/admin/jobs"];

fn is_list((path, methods): &(&String, &Value)) -> bool {
    parameters(methods).any(|parameter| parameter["name"] == "limit") && !ACROSS.contains(&path.as_str())
}

fn parameters(methods: &Value) -> impl Iterator<Item = &Value> {
    methods["get"]["parameters"].as_array().into_iter().flatten()
}

/// A list's queries: without a filter, and by each value of each.
fn filters<'a>(document: &'a Value, methods: &'a Value) -> impl Iterator<Item = String> + 'a {
    let each = parameters(methods).flat_map(|parameter| {
        let schema = &parameter["schema"];
        let schema = schema["$ref"].as_str().map_or(schema, |path| document.pointer(&path[1..]).unwrap());
        match parameter["name"].as_str().unwrap() {
            "limit" | "cursor" | "id" | "reason" => Vec::new(),
            "q" => vec!["&q=squat".to_owned()],
            name => {
                let values = schema["enum"].as_array().unwrap_or_else(|| panic!("`{name}` needs a value here")).iter();
                values.map(|value| format!("&{name}={}", value.as_str().unwrap())).collect()
            }
        }
    });
    std::iter::once(String::new()).chain(each)
}

/// The indexes whose first column is a tenant's.
async fn led_by_tenant(app: &TestApp) -> BTreeSet<String> {
    let text = "select i.indexrelid::regclass::text from pg_index i \
                join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0] \
                where a.attname in ('tenant_id', 'video_tenant_id') or (i.indrelid = 'tenant'::regclass and a.attname = 'id')";
    sqlx::query_scalar(text).fetch_all(&mut app.superuser().await).await.unwrap().into_iter().collect()
}

async fn log_of(app: &TestApp) -> std::path::PathBuf {
    let data: String = sqlx::query_scalar("show data_directory").fetch_one(&mut app.superuser().await).await.unwrap();
    std::path::Path::new(&data).with_file_name("postgresql.log")
}

/// The plans in a log: a line that ends in `plan:`, and an object over lines that begin with a tab. No other test's
/// database writes any.
fn plans_in(log: &str) -> Vec<Value> {
    let (mut plans, mut lines) = (Vec::new(), log.lines().peekable());
    while let Some(line) = lines.next() {
        let mut json = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            json.push_str(more);
        }
        if line.ends_with("plan:") {
            plans.push(serde_json::from_str(&json).unwrap());
        }
    }
    plans
}

/// Where a node has its rows from: itself, or the indexes that a bitmap is made of.
fn sources(node: &Value) -> Vec<&Value> {
    match node["Node Type"].as_str().unwrap() {
        "Bitmap Heap Scan" | "BitmapAnd" | "BitmapOr" => {
            node["Plans"].as_array().unwrap().iter().flat_map(sources).collect()
        }
        // Writes, such as the line of the audit log about whoever looks.
        "ModifyTable" => Vec::new(),
        _ => vec![node],
    }
}

/// Demands of each table that a plan reads an index that begins with the tenant, and that the index is entered by it.
fn scans(node: &Value, tenant_led: &BTreeSet<String>, query: &str, read: &mut BTreeMap<String, BTreeSet<String>>) {
    if let Some(table) = node["Relation Name"].as_str() {
        for source in sources(node) {
            let (index, condition) = (source["Index Name"].as_str(), source["Index Cond"].as_str());
            let column = if table == "tenant" { "(id = " } else { "(tenant_id = " };
            let is_led = index.is_some_and(|index| tenant_led.contains(index))
                && condition.is_some_and(|condition| condition.contains(column));
            assert!(is_led, "{table} is read by {} {index:?} on {condition:?} in {query}", source["Node Type"]);
            read.entry(table.to_owned()).or_default().insert(index.unwrap().to_owned());
        }
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scans(child, tenant_led, query, read);
    }
}
