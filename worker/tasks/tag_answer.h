#ifndef ATTUNE_WORKER_TASKS_TAG_ANSWER_H_
#define ATTUNE_WORKER_TASKS_TAG_ANSWER_H_

#include "attune/v1/task.pb.h"
#include "worker/tasks/input_words.h"
#include "worker/tasks/tag_scorer.h"
#include "worker/tasks/task_program.h"

namespace attune::worker {

// What a token classification answers for `words`, of which those that the
// model reads have `scores`.
attune::v1::TagAnswer MakeTagAnswer(const TaskProgram& program,
                                    const InputText& words,
                                    const TagScores& scores);

}  // namespace attune::worker

#endif  // ATTUNE_WORKER_TASKS_TAG_ANSWER_H_
