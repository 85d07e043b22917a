//! Endpoints: ranks are threads of this process, each with its own mapping of one segment.

mod boards;
mod collective;
mod cuts;
mod failures;
mod legs;
mod memory;
mod messages;
mod parting;
mod requests;
mod wildcards;
mod world;
