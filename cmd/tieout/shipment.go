package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	"github.com/tieout/tieout/cmd/tieout/resend"
	shipmentv1 "github.com/tieout/tieout/gen/tieout/shipment/v1"
	"github.com/tieout/tieout/pkg/rpcerr"
)

const shipmentStatePrefix = "SHIPMENT_STATE_"

func (c *cli) shipmentCommand() *cobra.Command {
	get := &cobra.Command{Use: "get SHIPMENT", Short: "Show a shipment", Args: args(cobra.ExactArgs(1))}
	return c.remoteGroup("shipment", "Look into shipments, follow them, and cancel them",
		object(c, get, shipmentView, func(ctx context.Context, r *remote, args []string) (*shipmentv1.Shipment, error) {
			return getShipment(ctx, r, args[0])
		}),
		c.shipmentListCommand(), c.shipmentTrackCommand(), c.shipmentCancelCommand())
}

func getShipment(ctx context.Context, r *remote, id string) (*shipmentv1.Shipment, error) {
	found, err := shipmentv1.NewShipmentServiceClient(r.conn).GetShipment(ctx, &shipmentv1.GetShipmentRequest{ShipmentId: id})
	return found.GetShipment(), err
}

func (c *cli) shipmentListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List shipments, newest first",
		Long: "Lists shipments, newest first. States: " + strings.Join(enumNames[shipmentv1.ShipmentState](shipmentStatePrefix), ", ") + ".",
	}
	state := cmd.Flags().String("state", "", "only shipments in this state, as in handed_over")
	reference := cmd.Flags().String("reference", "", "only shipments for this order")
	return list(c, cmd, shipmentView, func(ctx context.Context, r *remote, size int32, token string) ([]*shipmentv1.Shipment, string, error) {
		wanted, err := enumFlag[shipmentv1.ShipmentState]("state", shipmentStatePrefix, *state)
		if err != nil {
			return nil, "", err
		}
		p, err := shipmentv1.NewShipmentServiceClient(r.conn).ListShipments(ctx, &shipmentv1.ListShipmentsRequest{
			PageSize: size, PageToken: token, Reference: *reference, State: wanted,
		})
		return p.GetShipments(), p.GetNextPageToken(), err
	})
}

func (c *cli) shipmentTrackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "track SHIPMENT", Short: "Ask the carrier how far a shipment is, and list what it has told", Args: args(cobra.ExactArgs(1)),
		Long: `Asks the carrier now how far a shipment is, takes down what it says, and lists all that it has told, the oldest first.
It is asked by itself as well, less and less often. When it does not answer, what it told before is listed.`,
	}
	format := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			shipments := shipmentv1.NewShipmentServiceClient(r.conn)
			callCtx, cancel := r.callContext(ctx)
			defer cancel()
			now, err := shipments.TrackShipment(callCtx, &shipmentv1.TrackShipmentRequest{ShipmentId: args[0]})
			if e, _ := rpcerr.FromError(err); e != nil && e.Reason == rpcerr.CarrierOutcomeUnknown {
				c.note("the carrier does not answer; this is what it told before")
			} else if err != nil {
				return err
			} else {
				c.note("the shipment is %s", enum(now.GetShipment().GetState(), shipmentStatePrefix))
			}
			w := output.NewWriter(c.stdout, *format, trackingView)
			_, err = listInto(ctx, r, w, 0, func(ctx context.Context, r *remote, size int32, token string) ([]*shipmentv1.TrackingEvent, string, error) {
				p, err := shipments.ListTrackingEvents(ctx, &shipmentv1.ListTrackingEventsRequest{ShipmentId: args[0], PageSize: size, PageToken: token})
				return p.GetTrackingEvents(), p.GetNextPageToken(), err
			})
			return w.End(err)
		})
	}
	return cmd
}

func (c *cli) shipmentCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "cancel SHIPMENT", Short: "Cancel a shipment that the carrier does not have yet", Args: args(cobra.ExactArgs(1)),
		Long: `Cancels a shipment that is scheduled and that the carrier does not have yet. Without --yes nothing is done: it shows
what would be. The order that it is for goes on; what is to become of that is another decision.

When the outcome is not known, the same command under the same key asks again.`,
	}
	format := formatFlag(cmd)
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	key := cmd.Flags().String("key", "", "idempotency key: the same request under it again is done once (default: made, and printed)")
	yes := yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *reason == "" {
			return usageError{errNoReason}
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			request := &shipmentv1.CancelShipmentRequest{IdempotencyKey: *key, ShipmentId: args[0], Reason: *reason}
			if !*yes {
				return c.planCancel(ctx, r, request, *format)
			}
			return c.cancelShipment(ctx, r, request, *format)
		})
	}
	return cmd
}

// planCancel shows what would be cancelled, and says so when the server would refuse it.
func (c *cli) planCancel(ctx context.Context, r *remote, request *shipmentv1.CancelShipmentRequest, format output.Format) error {
	ctx, cancel := r.callContext(ctx)
	defer cancel()
	found, err := getShipment(ctx, r, request.GetShipmentId())
	if err != nil {
		return err
	}
	if found.GetState() == shipmentv1.ShipmentState_SHIPMENT_STATE_SCHEDULED {
		c.note("nothing was done: this would be cancelled; do it with --yes")
	} else {
		c.note("nothing was done, and nothing could be: the shipment is %s", enum(found.GetState(), shipmentStatePrefix))
	}
	return output.One(c.stdout, format, shipmentView, found)
}

// cancelShipment has it cancelled. Where the transport lost the answer it is asked for again.
func (c *cli) cancelShipment(ctx context.Context, r *remote, request *shipmentv1.CancelShipmentRequest, format output.Format) error {
	if err := contact(ctx, r); err != nil {
		return err
	}
	request.IdempotencyKey = c.keyOf(request.GetIdempotencyKey(), "cancel", "cancellation")
	answer, replayed, err := send(ctx, r, shipmentv1.NewShipmentServiceClient(r.conn).CancelShipment, request)
	if err != nil {
		if resend.Transient(err) {
			c.note("whether it was cancelled is not known. Ask again with --key %s, which does nothing twice", quoteArg(request.GetIdempotencyKey()))
		}
		return err
	}
	if replayed {
		c.note("replayed: it was done before under this key, and nothing was done again")
	}
	return output.One(c.stdout, format, shipmentView, answer.GetShipment())
}

var shipmentView = output.View[*shipmentv1.Shipment]{
	JSON: output.Message[*shipmentv1.Shipment],
	Columns: []output.Column[*shipmentv1.Shipment]{
		{Name: "shipment_id", Value: (*shipmentv1.Shipment).GetShipmentId},
		{Name: "state", Value: func(s *shipmentv1.Shipment) string { return enum(s.GetState(), shipmentStatePrefix) }},
		{Name: "reference", Value: (*shipmentv1.Shipment).GetReference},
		{Name: "carrier", Value: (*shipmentv1.Shipment).GetCarrier},
		{Name: "service_level", Value: func(s *shipmentv1.Shipment) string { return enum(s.GetServiceLevel(), "SERVICE_LEVEL_") }},
		{Name: "tracking_number", Value: (*shipmentv1.Shipment).GetTrackingNumber},
		{Name: "create_time", Value: func(s *shipmentv1.Shipment) string { return instant(s.GetCreateTime()) }},
		{Name: "refusal_reason", Value: (*shipmentv1.Shipment).GetRefusalReason},
	},
	Fields: []output.Column[*shipmentv1.Shipment]{
		{Name: "update_time", Value: func(s *shipmentv1.Shipment) string { return instant(s.GetUpdateTime()) }},
		{Name: "address", Value: func(s *shipmentv1.Shipment) string { return address(s.GetAddress()) }},
	},
}

var trackingView = output.View[*shipmentv1.TrackingEvent]{
	JSON: output.Message[*shipmentv1.TrackingEvent],
	Columns: []output.Column[*shipmentv1.TrackingEvent]{
		{Name: "event_time", Value: func(e *shipmentv1.TrackingEvent) string { return instant(e.GetEventTime()) }},
		{Name: "state", Value: func(e *shipmentv1.TrackingEvent) string { return enum(e.GetState(), shipmentStatePrefix) }},
		{Name: "detail", Value: (*shipmentv1.TrackingEvent).GetDetail},
		{Name: "event_id", Value: (*shipmentv1.TrackingEvent).GetEventId},
		{Name: "create_time", Value: func(e *shipmentv1.TrackingEvent) string { return instant(e.GetCreateTime()) }},
	},
}
