package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tieout/tieout/cmd/tieout/output"
	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
)

func (c *cli) holidaysCommand() *cobra.Command {
	get := &cobra.Command{Use: "get NAME", Short: "Show a list of holidays", Args: args(cobra.ExactArgs(1))}
	all := &cobra.Command{Use: "list", Short: "List the lists, by name"}
	return c.remoteGroup("holidays", "Say which dates are no business days, for schedules",
		c.holidaysPutCommand(),
		object(c, get, holidaysView, func(ctx context.Context, r *remote, args []string) (*billingv1.HolidayList, error) {
			return getHolidays(ctx, r, args[0])
		}),
		list(c, all, holidaysView, func(ctx context.Context, r *remote, size int32, token string) ([]*billingv1.HolidayList, string, error) {
			p, err := billingv1.NewScheduleServiceClient(r.conn).ListHolidayLists(ctx, &billingv1.ListHolidayListsRequest{PageSize: size, PageToken: token})
			return p.GetLists(), p.GetNextPageToken(), err
		}))
}

func getHolidays(ctx context.Context, r *remote, name string) (*billingv1.HolidayList, error) {
	found, err := billingv1.NewScheduleServiceClient(r.conn).GetHolidayList(ctx, &billingv1.GetHolidayListRequest{Name: name})
	return found.GetList(), err
}

func (c *cli) holidaysPutCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "put NAME -f FILE", Short: "Say all dates of a list, or make it", Args: args(cobra.ExactArgs(1)),
		Long: `Says all dates of a list anew, or makes it. The file has a date on each line, as in 2026-12-25, and what follows it there
is for people; so is a line that begins with #. Schedules that go by the list are due by it at once; what was decided on
stays. Without --yes nothing is done: it shows the list as it would be.`,
	}
	file := cmd.Flags().StringP("file", "f", "", "the file; - is stdin (required)")
	reason := cmd.Flags().String("reason", "", "why, for the record (required)")
	asFlag(cmd)
	format, yes := formatFlag(cmd), yesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *file == "":
			return usageError{errors.New("say which dates with -f FILE")}
		case *reason == "":
			return usageError{errNoReason}
		}
		dates, err := c.readDates(*file)
		if err != nil {
			return err
		}
		if !*yes {
			c.note("nothing was done: this is the list as it would be; put it with --yes")
			return output.One(c.stdout, *format, holidaysView, &billingv1.HolidayList{Name: args[0], Dates: dates})
		}
		return c.withRemote(cmd, func(ctx context.Context, r *remote) error {
			if err := contact(ctx, r); err != nil {
				return err
			}
			request := &billingv1.PutHolidayListRequest{IdempotencyKey: "holidays/" + uuid.NewString(), Name: args[0], Dates: dates, Reason: *reason}
			answer, _, err := send(ctx, r, billingv1.NewScheduleServiceClient(r.conn).PutHolidayList, request)
			if err != nil {
				return err
			}
			c.note("what is next has moved for %d schedules", answer.GetSchedulesMoved())
			return output.One(c.stdout, *format, holidaysView, answer.GetList())
		})
	}
	return cmd
}

// readDates reads the first word of each line that has one and is no comment. What is no date is refused by the server.
func (c *cli) readDates(name string) ([]string, error) {
	stream, closeStream, err := c.openStream(name)
	if err != nil {
		return nil, err
	}
	defer closeStream()
	dates, err := datesIn(stream)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return dates, nil
}

func datesIn(stream io.Reader) (dates []string, err error) {
	lines := bufio.NewScanner(stream)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) > 0 && !strings.HasPrefix(words[0], "#") {
			dates = append(dates, words[0])
		}
	}
	return dates, lines.Err()
}
