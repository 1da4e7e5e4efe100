/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where every message table becomes code (gateway/messages.h). */
#include "gateway/messages.h"

#define MSG_TABLE "gateway/listener.def"
#include "base/msg_define.h"
#define MSG_TABLE "gateway/forks.def"
#include "base/msg_define.h"
#define MSG_TABLE "gateway/relay.def"
#include "base/msg_define.h"
#define MSG_TABLE "auth/authd.def"
#include "base/msg_define.h"
#define MSG_TABLE "auth/login.def"
#include "base/msg_define.h"
#define MSG_TABLE "auth/grant.def"
#include "base/msg_define.h"
#define MSG_TABLE "audit/trail.def"
#include "base/msg_define.h"
#define MSG_TABLE "audit/auditd.def"
#include "base/msg_define.h"
