//! An MQTT client with rust-mqtt: `mqtt TAP ADDRESS/PREFIX BROKER:PORT`.
//!
//! It answers each message to `mnet/ask` with the same message in capitals, to the topic that the
//! question names, or to `mnet/answer`. For example, with mosquitto on 10.0.0.1:
//!
//! `mosquitto_rr -V mqttv5 -h 10.0.0.1 -t mnet/ask -e mnet/answer -m hello`
//!
//! The TAP device: see `common/mod.rs`.

mod common;

use std::error::Error;
use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

use mnet::aio::TcpStream;
use mnet::{Net, Platform};
use rust_mqtt::Bytes;
use rust_mqtt::buffer::AllocBuffer;
use rust_mqtt::client::Client;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    ConnectOptions, PublicationOptions, SubscriptionOptions, TopicReference,
};
use rust_mqtt::config::KeepAlive;
use rust_mqtt::types::{MqttString, TopicFilter, TopicName};

/// The broker gives us up after one and a half times this without a message.
const KEEP_ALIVE: NonZero<u16> = NonZero::new(30).unwrap();

fn topic(name: &str) -> Result<TopicName<'_>, &'static str> {
    let text = MqttString::from_str(name).map_err(|_| "no topic")?;
    TopicName::new(text).ok_or("no topic")
}

async fn answer_questions<P: Platform>(
    net: Net<P>,
    broker: SocketAddr,
) -> Result<(), Box<dyn Error>> {
    let stream = TcpStream::connect(&net, broker).await?;
    let mut buffer = AllocBuffer;
    let mut client = Client::<'_, '_, _, _, 1, 1, 1, 1, 0, 0, 0>::new(&mut buffer);
    let options = ConnectOptions::new()
        .clean_start()
        .keep_alive(KeepAlive::Seconds(KEEP_ALIVE));
    let told = |error| format!("{error:?}");
    client.connect(stream, &options, None).await.map_err(told)?;
    let filter = MqttString::from_str("mnet/ask").map_err(|_| "no filter")?;
    let filter = TopicFilter::new(filter).ok_or("no filter")?;
    let told = |error| format!("{error:?}");
    client
        .subscribe(filter, &SubscriptionOptions::new())
        .await
        .map_err(told)?;
    loop {
        // A header that was begun is not lost when the time is over.
        let pause = Duration::from_secs(u64::from(KEEP_ALIVE.get()) / 2);
        let Ok(header) = net.timeout(pause, client.poll_header()).await else {
            client.ping().await.map_err(told)?;
            continue;
        };
        let event = client.poll_body(header.map_err(told)?).await;
        match event.map_err(|error| format!("{error:?}"))? {
            Event::Suback(_) => println!("mqtt: waiting for questions"),
            Event::Publish(question) => {
                let name = match question.response_topic {
                    Some(name) => name,
                    None => topic("mnet/answer")?,
                };
                let text = question.message.as_ref().to_ascii_uppercase();
                let options = PublicationOptions::new(TopicReference::Name(name));
                client
                    .publish(&options, Bytes::from(text.as_slice()))
                    .await
                    .map_err(told)?;
            }
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let host = common::start()?;
    let broker = host.arguments.first().ok_or("no broker")?.parse()?;
    host.net.run(answer_questions(host.net.clone(), broker))
}
