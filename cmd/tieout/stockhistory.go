package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
)

var stockEventView = output.View[*inventoryv1.StockEvent]{
	JSON: output.Message[*inventoryv1.StockEvent],
	Columns: []output.Column[*inventoryv1.StockEvent]{
		{Name: "event_id", Value: func(e *inventoryv1.StockEvent) string { return pieces(e.GetEventId()) }},
		{Name: "create_time", Value: func(e *inventoryv1.StockEvent) string { return instant(e.GetCreateTime()) }},
		{Name: "sku", Value: (*inventoryv1.StockEvent).GetSku},
		{Name: "type", Value: func(e *inventoryv1.StockEvent) string { return enum(e.GetType(), "STOCK_EVENT_TYPE_") }},
		{Name: "quantity", Value: func(e *inventoryv1.StockEvent) string { return pieces(e.GetQuantity()) }},
		{Name: "reservation_id", Value: (*inventoryv1.StockEvent).GetReservationId},
		{Name: "actor", Value: (*inventoryv1.StockEvent).GetActor},
		{Name: "reason", Value: (*inventoryv1.StockEvent).GetReason},
	},
}

func (c *cli) stockGetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get SKU", Short: "Show the stock of a SKU, as it is or as it was", Args: args(cobra.ExactArgs(1)),
		Long: `Shows the stock of a SKU. --as-of takes ` + timeHelp + `;
or the number of one of the SKU's events, as ` + "`tieout stock events`" + ` lists them, and shows the stock after it.`,
	}
	asOf := cmd.Flags().String("as-of", "", "a time, a day, or the number of an event (default: now)")
	return object(c, cmd, stockView, func(ctx context.Context, r *remote, args []string) (*inventoryv1.Stock, error) {
		request := &inventoryv1.GetStockRequest{Sku: args[0]}
		if event, err := strconv.ParseInt(*asOf, 10, 64); err == nil {
			request.AsOf = &inventoryv1.GetStockRequest_AsOfEventId{AsOfEventId: event}
		} else if at, err := timeFlag("as-of", *asOf); err != nil {
			return nil, err
		} else if at != nil {
			request.AsOf = &inventoryv1.GetStockRequest_AsOfTime{AsOfTime: at}
		}
		return getStock(ctx, r, request)
	})
}

func (c *cli) stockEventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "events --sku SKU", Short: "List what happened to the pieces of a SKU, the newest first",
		Long: `Lists what happened to the pieces of a SKU, the newest first.

--since and --until take ` + timeHelp + `.`,
	}
	sku := cmd.Flags().String("sku", "", "the SKU (required)")
	since := cmd.Flags().String("since", "", "only what happened at this time or later")
	until := cmd.Flags().String("until", "", "only what happened before this time")
	return list(c, cmd, stockEventView, func(ctx context.Context, r *remote, size int32, token string) ([]*inventoryv1.StockEvent, string, error) {
		request := &inventoryv1.ListStockEventsRequest{Sku: *sku, PageSize: size, PageToken: token}
		var err error
		if request.Since, err = timeFlag("since", *since); err != nil {
			return nil, "", err
		}
		if request.Until, err = timeFlag("until", *until); err != nil {
			return nil, "", err
		}
		p, err := inventoryv1.NewInventoryServiceClient(r.conn).ListStockEvents(ctx, request)
		return p.GetEvents(), p.GetNextPageToken(), err
	})
}

var movementView = output.View[*inventoryv1.DailyMovement]{
	JSON: output.Message[*inventoryv1.DailyMovement],
	Columns: []output.Column[*inventoryv1.DailyMovement]{
		{Name: "sku", Value: (*inventoryv1.DailyMovement).GetSku},
		{Name: "day", Value: (*inventoryv1.DailyMovement).GetDay},
		{Name: "received", Value: func(m *inventoryv1.DailyMovement) string { return pieces(m.GetReceived()) }},
		{Name: "reserved", Value: func(m *inventoryv1.DailyMovement) string { return pieces(m.GetReserved()) }},
		{Name: "released", Value: func(m *inventoryv1.DailyMovement) string { return pieces(m.GetReleased()) }},
		{Name: "committed", Value: func(m *inventoryv1.DailyMovement) string { return pieces(m.GetCommitted()) }},
		{Name: "adjusted", Value: func(m *inventoryv1.DailyMovement) string { return pieces(m.GetAdjusted()) }},
		{Name: "expired", Value: func(m *inventoryv1.DailyMovement) string { return pieces(m.GetExpired()) }},
	},
}

func (c *cli) stockMovementsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "movements", Short: "List how many pieces of each SKU moved on each UTC day"}
	request := &inventoryv1.ListDailyMovementsRequest{}
	cmd.Flags().StringVar(&request.Sku, "sku", "", "only this SKU")
	cmd.Flags().StringVar(&request.Since, "since", "", "only this day, as in 2026-03-31, or later ones")
	cmd.Flags().StringVar(&request.Until, "until", "", "only days before this one")
	return list(c, cmd, movementView, func(ctx context.Context, r *remote, size int32, token string) ([]*inventoryv1.DailyMovement, string, error) {
		request.PageSize, request.PageToken = size, token
		p, err := inventoryv1.NewInventoryServiceClient(r.conn).ListDailyMovements(ctx, request)
		return p.GetMovements(), p.GetNextPageToken(), err
	})
}
