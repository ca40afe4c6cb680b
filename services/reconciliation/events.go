package reconciliation

// serviceName is the source of the service's events.
const serviceName = "reconciliation"
