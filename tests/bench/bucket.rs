//! For figures of uploads to a bucket: `bench-bucket DIRECTORY` is an S3 server that takes anything, with a bucket `bench`;
//! it prints its endpoint and runs until it is killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a tool of the benchmarks: what fails ends it")]

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() {
    let Some(directory) = std::env::args().nth(1) else { panic!("usage: bench-bucket DIRECTORY") };
    std::fs::create_dir_all(format!("{directory}/bench")).unwrap();
    let service = S3ServiceBuilder::new(FileSystem::new(&directory).unwrap()).build();
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
