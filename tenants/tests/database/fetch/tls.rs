//! Hot reads over an encrypted line, in the modes of a database URL.

use tenants::{Error, fetch::Hot};

use super::{MEMBERS, one};
use crate::support::{ACME, TestDb, tenants_at};

static ENCRYPTED: Hot = Hot::new("select ssl::text as one from pg_stat_ssl where pid = pg_backend_pid()");

/// A read with this ending of the URL, from the host that the certificate names or from its address.
async fn read(db: &TestDb, host: &str, ending: &str, statement: &'static Hot) -> Result<String, Error> {
    let url = format!("{}{ending}", db.url("ffp_app").replace("127.0.0.1", host));
    let tenants = tenants_at(url.clone(), url.clone(), url, 4);
    let answer = one::<String>(&tenants.as_system(ACME.id), statement).await;
    tenants.close().await;
    answer
}

#[tokio::test]
async fn the_line_is_encrypted_and_the_server_known_as_far_as_the_url_demands() {
    let mut db = TestDb::on_own_server().await;
    assert_eq!(read(&db, "127.0.0.1", "", &ENCRYPTED).await.unwrap(), "false", "a server that can't is left alone");
    let demanded = read(&db, "127.0.0.1", "?sslmode=require", &ENCRYPTED).await.unwrap_err();
    assert_eq!(demanded.into_problem().status.as_u16(), 503);

    // The server makes an authority and itself a certificate, in its own directory.
    db.execute(
        "copy (select 1) to program '( \
            openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt && \
            openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr && \
            echo subjectAltName=DNS:localhost > server.ext && \
            openssl x509 -req -days 2 -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile server.ext \
                -out server.crt ) 2> openssl.log'",
    )
    .await;
    db.execute("alter system set ssl = on").await;
    db.execute("select pg_reload_conf()").await;
    while db.count("select (current_setting('ssl') = 'on')::int::bigint").await == 0 {
        tokio::task::yield_now().await;
    }
    let pem: String = sqlx::query_scalar("select pg_read_file('ca.crt')").fetch_one(&mut db.admin).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authority.pem");
    std::fs::write(&file, pem).unwrap();
    let known = format!("&sslrootcert={}", file.display());

    for (host, ending) in [
        ("127.0.0.1", String::new()),
        ("127.0.0.1", "?sslmode=require".into()),
        ("127.0.0.1", format!("?sslmode=verify-ca{known}")),
        ("localhost", format!("?sslmode=verify-full{known}")),
    ] {
        assert_eq!(read(&db, host, &ending, &ENCRYPTED).await.unwrap(), "true", "{host} {ending}");
    }
    assert_eq!(read(&db, "127.0.0.1", "?sslmode=disable", &ENCRYPTED).await.unwrap(), "false");
    for (host, ending) in [
        // Nobody vouches for the certificate; and it is another host's.
        ("localhost", "?sslmode=verify-full".to_owned()),
        ("127.0.0.1", "?sslmode=verify-ca".to_owned()),
        ("127.0.0.1", format!("?sslmode=verify-full{known}")),
    ] {
        let refused = read(&db, host, &ending, &MEMBERS).await.unwrap_err();
        assert_eq!(refused.into_problem().status.as_u16(), 503, "{host} {ending}");
    }
}
