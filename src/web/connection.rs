//! One connection, from its first request to its end.

use crate::memo::Peer;
use crate::web::answer;
use crate::web::body::ReplyBody;
use crate::web::guard::Guard;
use crate::web::room::{Next, Place};
use crate::web::service::Service;
use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service as HttpService;
use hyper_util::rt::TokioIo;
use rustix::net::{RecvFlags, recv};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};

/// Answers on a connection until the client ends it, or the room does.
pub(super) async fn serve<S>(stream: S, place: Arc<Place>, current: Arc<ArcSwap<Service>>, peer: Peer)
where
    S: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static,
{
    let mut socket = Guard::telling(stream, place.unwritten());
    let mut http = http1::Builder::new();
    http.max_buf_size(MOST_BUFFERED);
    let mut look = Box::pin(sleep(Duration::ZERO));
    loop {
        let answering = Answers { current: Arc::clone(&current), place: Arc::clone(&place), peer };
        let mut connection = http.serve_connection(TokioIo::new(socket), answering);
        loop {
            tokio::select! {
                biased;
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(error = %crate::upstream::Chain(&error), "a connection ended early");
                    }
                    return;
                }
                () = place.called() => {}
                () = &mut look => {}
            }
            match place.next() {
                Next::Stay(time) => look.as_mut().reset(Instant::now() + time),
                Next::Leave => break,
            }
        }
        socket = connection.into_parts().io.into_inner();
        if place.is_over() || !has_unread(socket.stream()) {
            return;
        }
        // A request has come that nobody has looked at yet: it is answered after all.
        look.as_mut().reset(Instant::now() + UNREAD);
    }
}

/// Whether the kernel has bytes that we have not read. Closing then would tell the client that they are lost.
fn has_unread(stream: &impl AsFd) -> bool {
    let mut byte = [0];
    recv(stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|(length, _)| length > 0)
}

/// Answers the requests of one connection under the configuration of the moment.
struct Answers {
    current: Arc<ArcSwap<Service>>,
    place: Arc<Place>,
    peer: Peer,
}

impl HttpService<Request<Incoming>> for Answers {
    type Response = Response<ReplyBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let answering = self.place.answering();
        // A body has no meaning on any route; not reading it closes the connection after the answer.
        let has_body = !request.body().is_end_stream();
        let (place, peer) = (Arc::clone(&self.place), self.peer);
        let finish = move |response: Response<ReplyBody>| {
            let response = response.map(|body| body.answering(answering));
            if has_body || place.is_last() { answer::close(response) } else { response }
        };
        // What is at hand is answered without a future that would have to be moved about.
        if let Some(response) = self.current.load().at_hand(&request, peer) {
            return Answer::AtHand(ready(Ok(finish(response))));
        }
        let service = self.current.load_full();
        Answer::ToCome(Box::pin(async move { Ok(finish(service.answer(&request, peer).await)) }))
    }
}

/// A response, now or later.
#[allow(clippy::large_enum_variant, reason = "most are at hand, and the point is to make nothing for them")]
enum Answer {
    AtHand(Ready<Result<Response<ReplyBody>, Infallible>>),
    ToCome(Pin<Box<dyn Future<Output = Result<Response<ReplyBody>, Infallible>> + Send>>),
}

impl Future for Answer {
    type Output = Result<Response<ReplyBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::AtHand(ready) => Pin::new(ready).poll(context),
            Self::ToCome(future) => future.as_mut().poll(context),
        }
    }
}

/// What is read or written ahead on one connection: room for a head of a request, and for two chunks of a NAR.
const MOST_BUFFERED: usize = 512 * 1024;

/// How long a request may lie in the kernel before it is looked at whether it lies there still.
const UNREAD: Duration = Duration::from_millis(10);
