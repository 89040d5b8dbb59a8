//! What is printed. Log lines go to a file, so that addresses and logins stay in sight.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval_at};

use super::{demo, settings::Settings};

/// How often a step that takes long shows that it goes on.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);

/// Prints a line.
pub(super) fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// A terminal that is gone is no reason to stop.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Does something and prints what, how long it took, and a dot every other second until then. `hint` is why it may
/// take long, and is shown once it does.
pub(super) async fn step<T, E>(name: &str, hint: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    print(&format!("  {name} "));
    let started = Instant::now();
    let mut signs = interval_at(tokio::time::Instant::now() + SIGN_OF_LIFE, SIGN_OF_LIFE);
    signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    let mut hint = (!hint.is_empty()).then(|| format!("({hint}) "));
    let outcome = loop {
        tokio::select! {
            outcome = &mut work => break outcome,
            _ = signs.tick() => print(&(hint.take().unwrap_or_default() + ".")),
        }
    };
    match &outcome {
        Ok(_) => print(&format!(" {:.1} s\n", started.elapsed().as_secs_f64())),
        Err(_) => print(" failed\n"),
    }
    outcome
}

/// The last block: where everything is and who may log in.
pub(super) fn ready(settings: &Settings) {
    let origin = settings.origin();
    let aws = format!("http://127.0.0.1:{}", settings.aws_port);
    let mut text = format!(
        "\nready\n\n\
         app            {origin}\n\
         API            {origin}/docs\n\
         metrics        http://{metrics}/metrics\n\
         PostgreSQL     127.0.0.1:{postgres}, `make psql`\n\
         AWS emulator   {aws}\n\
         sent mails     {aws}/_ministack/ses/messages\n\
         data, logs     {data}\n\n\
         demo logins, all with the password {password}\n",
        metrics = settings.metrics_addr,
        postgres = settings.postgres_port,
        data = settings.data_dir.display(),
        password = demo::PASSWORD,
    );
    for person in demo::PEOPLE {
        text.push_str(&format!("{:<14} {}\n", person.role, person.email));
    }
    text.push_str(&format!("{:<14} {} (`cargo run -p platform -- operator-token`)\n", "operator", demo::OPERATOR));
    text.push_str("\nstop with Ctrl-C\n");
    print(&text);
}
