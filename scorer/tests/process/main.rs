//! The scorer as a process: started, spoken to over loopback, and stopped.

mod bad_input;
mod checking;
mod client;
mod fetching;
mod lifecycle;
mod limits;
mod loading;
mod origin;
mod scoring;
mod server;
