//! The workspaces of a run: a delivery for each, with what all of them have in common shared.

use std::sync::Arc;

use crate::bounds::EXCERPT_BYTES_MAX;
use crate::engine::admission::WORKSPACE_BYTES;
use crate::engine::deliveries::Deliveries;
use crate::engine::delivery::Delivery;
use crate::engine::event::PostId;
use crate::engine::note::Settled;
use crate::proto::bulk::{self, Envelope};
use crate::proto::excerpt::excerpt;

use super::Run;

/// What is reckoned for a workspace has room for the server's words.
const _: () = assert!(size_of::<Delivery>() + size_of::<Envelope>() + EXCERPT_BYTES_MAX < WORKSPACE_BYTES);

impl Run {
    pub fn workspace_names(&self) -> String {
        excerpt(&self.workspaces.join(", "), EXCERPT_BYTES_MAX)
    }

    /// One for each workspace, from where an earlier agent came to.
    pub(super) fn open_deliveries(&mut self, mut settled: Vec<Settled>) {
        settled.resize_with(self.workspaces.len(), Settled::default);
        let (command, start_date) = (Arc::from(&*self.executor.name), Arc::from(bulk::start_date(self.started.1)));
        let envelope = |execution_id| Envelope {
            execution_id,
            tool: self.agent_name.clone(),
            command: Arc::clone(&command),
            params: self.params.clone(),
            start_date: Arc::clone(&start_date),
        };
        let pairs = self.workspaces.iter().zip(&*self.execution_ids).zip(settled).enumerate();
        let deliveries = pairs.map(|(workspace, ((name, &execution_id), settled))| {
            let id = PostId { run: self.id, workspace };
            Delivery::new(id, name.clone(), Arc::new(envelope(execution_id)), settled)
        });
        self.deliveries = Deliveries::new(deliveries.collect());
    }
}
