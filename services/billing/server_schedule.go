package billing

import (
	"context"

	billingv1 "github.com/tieout/tieout/gen/tieout/billing/v1"
	"github.com/tieout/tieout/pkg/rpc"
	"github.com/tieout/tieout/pkg/rpcerr"
	"github.com/tieout/tieout/services/billing/calendar"
)

// scheduleServer is the gRPC face of schedules.
type scheduleServer struct {
	billingv1.UnimplementedScheduleServiceServer
	billing *billing
}

// namedSchedule is a request that names a schedule and has a key.
type namedSchedule interface {
	GetIdempotencyKey() string
	GetScheduleId() string
}

// scheduleCommandOf reads what is the same in all that is done to a schedule.
func scheduleCommandOf(ctx context.Context, r namedSchedule) (scheduleCommand, error) {
	sid, err := parseScheduleID(r.GetScheduleId())
	return scheduleCommand{request: requestOf(ctx, r.GetIdempotencyKey()), scheduleID: sid}, err
}

// CreateSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) CreateSchedule(ctx context.Context, r *billingv1.CreateScheduleRequest) (*billingv1.CreateScheduleResponse, error) {
	t, err := termsFromProto(r.GetTerms())
	if err != nil {
		return nil, err
	}
	made, err := s.billing.createSchedule(ctx, requestOf(ctx, r.GetIdempotencyKey()), t)
	if err != nil {
		return nil, err
	}
	return &billingv1.CreateScheduleResponse{Schedule: scheduleToProto(made)}, nil
}

// UpdateSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) UpdateSchedule(ctx context.Context, r *billingv1.UpdateScheduleRequest) (*billingv1.UpdateScheduleResponse, error) {
	c, err := scheduleCommandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	t, err := termsFromProto(r.GetTerms())
	if err != nil {
		return nil, err
	}
	c.terms = &t
	after, err := s.billing.updateSchedule(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.UpdateScheduleResponse{Schedule: scheduleToProto(after)}, nil
}

// PauseSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) PauseSchedule(ctx context.Context, r *billingv1.PauseScheduleRequest) (*billingv1.PauseScheduleResponse, error) {
	c, err := scheduleCommandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	c.note = r.GetNote()
	after, err := s.billing.pauseSchedule(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.PauseScheduleResponse{Schedule: scheduleToProto(after)}, nil
}

// ResumeSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) ResumeSchedule(ctx context.Context, r *billingv1.ResumeScheduleRequest) (*billingv1.ResumeScheduleResponse, error) {
	c, err := scheduleCommandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	after, err := s.billing.resumeSchedule(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.ResumeScheduleResponse{Schedule: scheduleToProto(after)}, nil
}

// EndSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) EndSchedule(ctx context.Context, r *billingv1.EndScheduleRequest) (*billingv1.EndScheduleResponse, error) {
	c, err := scheduleCommandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	c.note = r.GetNote()
	after, err := s.billing.endSchedule(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.EndScheduleResponse{Schedule: scheduleToProto(after)}, nil
}

// TriggerSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) TriggerSchedule(ctx context.Context, r *billingv1.TriggerScheduleRequest) (*billingv1.TriggerScheduleResponse, error) {
	c, err := scheduleCommandOf(ctx, r)
	if err != nil {
		return nil, err
	}
	c.note = r.GetReason()
	triggered, err := s.billing.triggerSchedule(ctx, c)
	if err != nil {
		return nil, err
	}
	return &billingv1.TriggerScheduleResponse{Occurrence: occurrenceToProto(triggered)}, nil
}

// GetSchedule implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) GetSchedule(ctx context.Context, r *billingv1.GetScheduleRequest) (*billingv1.GetScheduleResponse, error) {
	sid, err := parseScheduleID(r.GetScheduleId())
	if err != nil {
		return nil, err
	}
	found, err := s.billing.readSchedule(ctx, sid)
	if err != nil {
		return nil, err
	}
	return &billingv1.GetScheduleResponse{Schedule: scheduleToProto(found)}, nil
}

// ListSchedules implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) ListSchedules(ctx context.Context, r *billingv1.ListSchedulesRequest) (*billingv1.ListSchedulesResponse, error) {
	before, err := rpc.PageBefore[scheduleKind](r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listSchedules(ctx, before, r.GetCustomerId(), scheduleState(r.GetState()), n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, scheduleToProto, (*billingv1.Schedule).GetScheduleId)
	return &billingv1.ListSchedulesResponse{Schedules: page, NextPageToken: next}, nil
}

// ListScheduleOccurrences implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) ListScheduleOccurrences(ctx context.Context, r *billingv1.ListScheduleOccurrencesRequest) (*billingv1.ListScheduleOccurrencesResponse, error) {
	sid, err := parseScheduleID(r.GetScheduleId())
	if err != nil {
		return nil, err
	}
	token, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	before := calendar.Date{Year: 9999, Month: 12, Day: 31}.AddDays(1) // behind all there are
	if token != "" {
		if before, err = calendar.ParseDate(token); err != nil {
			return nil, rpcerr.ForField(rpcerr.RequestInvalid, "page_token", "is not a token of an earlier answer")
		}
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listOccurrences(ctx, sid, before, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, occurrenceToProto, (*billingv1.ScheduleOccurrence).GetDate)
	return &billingv1.ListScheduleOccurrencesResponse{Occurrences: page, NextPageToken: next}, nil
}

// GetSchedulePreview implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) GetSchedulePreview(ctx context.Context, r *billingv1.GetSchedulePreviewRequest) (*billingv1.GetSchedulePreviewResponse, error) {
	if r.GetCalendar() != nil {
		w, err := whenFromProto(r.GetCalendar(), "calendar.")
		if err != nil {
			return nil, err
		}
		next, end, err := s.billing.previewOf(ctx, w)
		if err != nil {
			return nil, err
		}
		return previewToProto(next, end), nil
	}
	sid, err := parseScheduleID(r.GetScheduleId())
	if err != nil {
		return nil, err
	}
	next, end, err := s.billing.preview(ctx, sid)
	if err != nil {
		return nil, err
	}
	return previewToProto(next, end), nil
}

// PutHolidayList implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) PutHolidayList(ctx context.Context, r *billingv1.PutHolidayListRequest) (*billingv1.PutHolidayListResponse, error) {
	dates, err := datesFromProto(r.GetDates())
	if err != nil {
		return nil, err
	}
	put, err := s.billing.putHolidays(ctx, requestOf(ctx, r.GetIdempotencyKey()), holidayList{Name: r.GetName(), Dates: dates}, r.GetReason())
	if err != nil {
		return nil, err
	}
	return &billingv1.PutHolidayListResponse{List: holidayListToProto(put.List), SchedulesMoved: put.Moved}, nil
}

// GetHolidayList implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) GetHolidayList(ctx context.Context, r *billingv1.GetHolidayListRequest) (*billingv1.GetHolidayListResponse, error) {
	found, err := s.billing.getHolidays(ctx, r.GetName())
	if err != nil {
		return nil, err
	}
	return &billingv1.GetHolidayListResponse{List: holidayListToProto(found)}, nil
}

// ListHolidayLists implements billingv1.ScheduleServiceServer.
func (s *scheduleServer) ListHolidayLists(ctx context.Context, r *billingv1.ListHolidayListsRequest) (*billingv1.ListHolidayListsResponse, error) {
	after, err := rpc.ParsePageToken(r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n := rpc.PageSize(r.GetPageSize())
	found, err := s.billing.listHolidays(ctx, after, n+1)
	if err != nil {
		return nil, err
	}
	page, next := rpc.Page(found, n, holidayListToProto, (*billingv1.HolidayList).GetName)
	return &billingv1.ListHolidayListsResponse{Lists: page, NextPageToken: next}, nil
}
