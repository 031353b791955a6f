//! Whether a TURN server gives these credentials a relayed address (RFC 8656 section 7); it is given back at once.

use std::{net::SocketAddr, time::Instant};

use rtc::{
    stun::{
        attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME},
        integrity::MessageIntegrity,
        message::{CLASS_SUCCESS_RESPONSE, Getter, Message, Setter},
        textattrs::TextAttribute,
    },
    turn::proto::{
        PROTO_UDP, allocate_request, lifetime::Lifetime, refresh_request, relayaddr::RelayedAddress,
        reqtrans::RequestedTransport,
    },
};
use tokio::time::timeout;

use super::{
    DEADLINE,
    channel::Channel,
    finding::{Finding, Trouble},
    server::Server,
    stun::{refusal, request, silent},
};

/// Asks one server for an allocation.
pub async fn allocate(server: &Server, what: &str) -> Finding {
    let started = Instant::now();
    match timeout(DEADLINE, ask(server)).await {
        Ok(Ok(relayed)) => {
            let took_ms = started.elapsed().as_millis();
            Finding::ok(what, format!("gives the relayed address {relayed} within {took_ms} ms"))
        }
        Ok(Err(trouble)) => trouble.finding(what),
        Err(_) => silent(started).finding(what),
    }
}

async fn ask(server: &Server) -> Result<SocketAddr, Trouble> {
    let (user, password) = server.credentials.clone().unwrap_or_default();
    let mut channel = Channel::open(server).await?;
    let provider = rtc::crypto::default_provider()
        .map_err(|error| Trouble::new(error.to_string(), "this build of the agent is broken"))?;

    // The first request goes without credentials: its refusal brings realm and nonce (RFC 8489 section 9.2.3).
    let bare = vec![part(allocate_request()), part(RequestedTransport { protocol: PROTO_UDP })];
    let bare = request(bare)?;
    let challenge = channel.ask(&bare).await?;
    if challenge.typ.class == CLASS_SUCCESS_RESPONSE {
        return relayed(&challenge);
    }
    let (Ok(realm), Ok(nonce)) = (
        TextAttribute::get_from_as(&challenge, ATTR_REALM),
        TextAttribute::get_from_as(&challenge, ATTR_NONCE),
    ) else {
        return Err(refused(&challenge));
    };
    let credentials = || -> Result<[Box<dyn Setter + '_>; 4], Trouble> {
        let integrity = MessageIntegrity::new_long_term_integrity_with_provider(
            user.clone(),
            realm.text.clone(),
            password.clone(),
            provider.crypto(),
        );
        let integrity =
            integrity.map_err(|error| Trouble::new(error.to_string(), "check user and password"))?;
        Ok([
            part(TextAttribute::new(ATTR_USERNAME, user.clone())),
            part(TextAttribute::new(ATTR_REALM, realm.text.clone())),
            part(TextAttribute::new(ATTR_NONCE, nonce.text.clone())),
            Box::new(integrity),
        ])
    };
    let mut full = vec![part(allocate_request()), part(RequestedTransport { protocol: PROTO_UDP })];
    full.extend(credentials()?);
    let full = request(full)?;
    let answer = channel.ask(&full).await?;
    if answer.typ.class != CLASS_SUCCESS_RESPONSE {
        return Err(refused(&answer));
    }
    let relayed = relayed(&answer)?;
    let mut release = vec![part(refresh_request()), part(Lifetime(std::time::Duration::ZERO))];
    release.extend(credentials()?);
    let release = request(release)?;
    // If it is lost, the allocation ends by itself after ten minutes.
    let _ = channel.ask(&release).await;
    Ok(relayed)
}

fn part<'a>(setter: impl Setter + 'a) -> Box<dyn Setter + 'a> {
    Box::new(setter)
}

fn relayed(answer: &Message) -> Result<SocketAddr, Trouble> {
    let mut relayed = RelayedAddress::default();
    relayed.get_from(answer).map_err(|_| {
        Trouble::new("its answer holds no XOR-RELAYED-ADDRESS", "it is no server of RFC 8656: use another")
    })?;
    Ok(SocketAddr::new(relayed.ip, relayed.port))
}

fn refused(answer: &Message) -> Trouble {
    let (code, words) = refusal(answer);
    let advice = match code {
        401 | 441 => {
            "user or password is wrong: compare username and credential, or hub.turn_secret_file with the \
             server's static-auth-secret; time-limited ones also need the right time here and there"
        }
        403 => "the server's rules forbid this machine's address",
        486 => "this user has too many allocations: raise the server's user-quota",
        508 => "the server has no ports left: raise its total-quota or its port range",
        _ => "check that it is a TURN server that relays UDP, and its log",
    };
    Trouble::new(format!("it refuses: {words}"), advice)
}
