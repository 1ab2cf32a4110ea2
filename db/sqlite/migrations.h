// The SQL of each step from one schema version to the next. A step that has been released is never
// edited: a change is a new step.
#pragma once

namespace sluice::db::sqlite {

extern const char* const kTablesV1;
extern const char* const kViewsV1;
extern const char* const kTablesV2;
extern const char* const kViewsV2;
extern const char* const kTablesV3;
extern const char* const kViewsV3;
extern const char* const kTablesV4;
extern const char* const kViewsV4;
extern const char* const kTablesV5;
extern const char* const kViewsV5;
extern const char* const kTablesV6;
extern const char* const kViewsV6;

}  // namespace sluice::db::sqlite
