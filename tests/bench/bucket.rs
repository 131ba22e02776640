//! For figures of uploads to a bucket. `bench-bucket serve DIRECTORY` is an S3 server that takes anything, with a bucket
//! `bench`; it prints its endpoint and runs until it is killed. `bench-bucket put ENDPOINT FILE` puts a file there as
//! the uploader does, and prints the most memory that this took, in KiB.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use countersign::config::{Bucket, Compression, Destination, Publish, Target};
use countersign::destination::{Body, Condition, ContentType, Names, Place};
use countersign::format::StoreDir;
use countersign::trust::SignerSet;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use url::Url;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", directory] => serve(directory).await,
        ["put", endpoint, file] => put(endpoint, file).await,
        _ => panic!("usage: bench-bucket serve DIRECTORY, or bench-bucket put ENDPOINT FILE"),
    }
}

async fn serve(directory: &str) {
    std::fs::create_dir_all(format!("{directory}/bench")).unwrap();
    let service = S3ServiceBuilder::new(FileSystem::new(directory).unwrap()).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        let service = service.clone();
        tokio::spawn(async move {
            drop(Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

async fn put(endpoint: &str, file: &str) {
    let endpoint = Some(Url::parse(&format!("{endpoint}/")).unwrap());
    let bucket = Bucket { endpoint, is_unsigned: true, ..Bucket::named("bench") };
    let destination = Destination {
        name: "bench".into(),
        target: Target::S3(Box::new(bucket)),
        packages: Vec::new(),
        compression: Compression::None,
        publish: Publish::Nars,
        skip_vouched_by: SignerSet::EMPTY,
        credentials_file: None,
    };
    let place = Place::open(&destination, &StoreDir::default(), &Names::of_system()).unwrap();
    let length = std::fs::metadata(file).unwrap().len();
    let body = Body::File { path: file.into(), length };
    place.put("nar/large.nar", body, ContentType::Nar, Condition::Always).await.unwrap();
    assert_eq!(place.size("nar/large.nar").await.unwrap(), Some(length));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
}
