//! The bare alternative: a JetStream work queue, one worker, an answer on core NATS.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, consumer::pull, stream};
use cortex_tests::NatsServer;
use futures::StreamExt as _;

/// Round trips one after another: publish, deliver, acknowledge, answer.
pub(crate) async fn round_trips(runs: usize, tasks: usize) -> Result<Vec<Vec<Duration>>> {
    let server = NatsServer::start().await?;
    let client = server.connect().await?;
    let context = jetstream::new(client.clone());
    let work = stream::Config {
        name: "WORK".to_owned(),
        subjects: vec!["work.>".to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        ..Default::default()
    };
    let stream = context.create_stream(work).await.context("making the queue")?;
    let config = pull::Config { durable_name: Some("worker".to_owned()), ..Default::default() };
    let consumer = stream.create_consumer(config).await.context("making the consumer")?;
    let worker = tokio::spawn(work_off(consumer, server.connect().await?));
    let mut done = client.subscribe("done").await?;
    let mut all = Vec::new();
    for _ in 0..runs {
        let mut latencies = Vec::with_capacity(tasks);
        for _ in 0..tasks {
            let begin = Instant::now();
            context.publish("work.echo", "".into()).await?.await?;
            done.next().await.context("no answer")?;
            latencies.push(begin.elapsed());
        }
        all.push(latencies);
    }
    worker.abort();
    Ok(all)
}

async fn work_off(
    consumer: jetstream::consumer::Consumer<pull::Config>,
    client: async_nats::Client,
) -> Result<()> {
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        message?.ack().await.map_err(|error| anyhow::anyhow!(error))?;
        client.publish("done", "".into()).await?;
        client.flush().await?;
    }
    Ok(())
}
