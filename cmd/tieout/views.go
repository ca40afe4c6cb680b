package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tieout/tieout/cmd/tieout/output"
	commonv1 "github.com/tieout/tieout/gen/tieout/common/v1"
	inventoryv1 "github.com/tieout/tieout/gen/tieout/inventory/v1"
	orderv1 "github.com/tieout/tieout/gen/tieout/order/v1"
	"github.com/tieout/tieout/pkg/money"
)

var orderView = output.View[*orderv1.Order]{
	JSON: output.Message[*orderv1.Order],
	Columns: []output.Column[*orderv1.Order]{
		{Name: "order_id", Value: (*orderv1.Order).GetOrderId},
		{Name: "state", Value: func(o *orderv1.Order) string { return enum(o.GetState(), "ORDER_STATE_") }},
		{Name: "customer_id", Value: (*orderv1.Order).GetCustomerId},
		{Name: "total", Value: func(o *orderv1.Order) string { return amount(o.GetTotal()) }},
		{Name: "lines", Value: func(o *orderv1.Order) string { return strconv.Itoa(len(o.GetLines())) }},
		{Name: "create_time", Value: func(o *orderv1.Order) string { return instant(o.GetCreateTime()) }},
		{Name: "cause", Value: (*orderv1.Order).GetCause},
	},
	Fields: []output.Column[*orderv1.Order]{
		{Name: "update_time", Value: func(o *orderv1.Order) string { return instant(o.GetUpdateTime()) }},
		{Name: "saga_id", Value: (*orderv1.Order).GetSagaId},
		{Name: "payment_method", Value: (*orderv1.Order).GetPaymentMethod},
		{Name: "ship_to", Value: func(o *orderv1.Order) string { return address(o.GetShipTo()) }},
	},
	Sections: func(w io.Writer, o *orderv1.Order) error {
		if err := output.Section(w, "Lines", lineColumns, o.GetLines()); err != nil {
			return err
		}
		return output.Section(w, "Timeline", timelineColumns, o.GetTimeline())
	},
}

var lineColumns = []output.Column[*orderv1.OrderLine]{
	{Name: "sku", Value: (*orderv1.OrderLine).GetSku},
	{Name: "quantity", Value: func(l *orderv1.OrderLine) string { return strconv.Itoa(int(l.GetQuantity())) }},
	{Name: "unit_price", Value: func(l *orderv1.OrderLine) string { return amount(l.GetUnitPrice()) }},
}

var timelineColumns = []output.Column[*orderv1.TimelineEntry]{
	{Name: "time", Value: func(e *orderv1.TimelineEntry) string { return instant(e.GetTime()) }},
	{Name: "service", Value: (*orderv1.TimelineEntry).GetService},
	{Name: "type", Value: (*orderv1.TimelineEntry).GetType},
	{Name: "subject", Value: (*orderv1.TimelineEntry).GetSubject},
}

var stockView = output.View[*inventoryv1.Stock]{
	JSON: output.Message[*inventoryv1.Stock],
	Columns: []output.Column[*inventoryv1.Stock]{
		{Name: "sku", Value: (*inventoryv1.Stock).GetSku},
		{Name: "available", Value: func(s *inventoryv1.Stock) string { return pieces(s.GetAvailable()) }},
		{Name: "reserved", Value: func(s *inventoryv1.Stock) string { return pieces(s.GetReserved()) }},
		{Name: "shipped", Value: func(s *inventoryv1.Stock) string { return pieces(s.GetShipped()) }},
		{Name: "received", Value: func(s *inventoryv1.Stock) string { return pieces(s.GetReceived()) }},
		{Name: "adjusted", Value: func(s *inventoryv1.Stock) string { return pieces(s.GetAdjusted()) }},
		{Name: "update_time", Value: func(s *inventoryv1.Stock) string { return instant(s.GetUpdateTime()) }},
	},
}

// enum is the name of an enum's value as people say it.
func enum(value interface{ String() string }, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(value.String(), prefix))
}

// enumValue is a value of one of the API's enums.
type enumValue interface {
	~int32
	protoreflect.Enum
}

// enumNames are the names that enum gives to all values of a kind but the unspecified one.
func enumNames[E enumValue](prefix string) []string {
	var names []string
	values := E(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		names = append(names, strings.ToLower(strings.TrimPrefix(string(values.Get(i).Name()), prefix)))
	}
	return names
}

// enumFlag reads a flag that names a value; the unspecified one for none.
func enumFlag[E enumValue](flag, prefix, name string) (E, error) {
	names := enumNames[E](prefix)
	if name != "" && !slices.Contains(names, name) {
		return 0, usageError{fmt.Errorf("--%s %q is none of %s", flag, name, strings.Join(names, ", "))}
	}
	if name == "" {
		return 0, nil
	}
	return E(E(0).Descriptor().Values().ByName(protoreflect.Name(prefix + strings.ToUpper(name))).Number()), nil
}

func amount(a *commonv1.Amount) string {
	if a == nil {
		return ""
	}
	return money.Amount{Currency: money.Currency(a.GetCurrencyCode()), Minor: a.GetMinorUnits()}.String()
}

func instant(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().UTC().Format(time.RFC3339)
}

func pieces(n int64) string { return strconv.FormatInt(n, 10) }

func address(a *commonv1.Address) string {
	var parts []string
	for _, part := range []string{a.GetName(), a.GetStreet(), a.GetPostalCode(), a.GetCity(), a.GetCountry()} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}
