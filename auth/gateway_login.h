/* SPDX-License-Identifier: Apache-2.0
 *
 * The `login` command of the target `gateway`. With a code just given: a certificate request comes
 * in, the device's certificate goes out. With an enrolment token: first a new second factor.
 *
 *     stdin      = [request PEM] *(code LF)          ; codes in an enrolment only
 *     stdout     = ["enroll " otpauth-uri LF *("wrong " tries-left LF) "ok" LF] [certificate PEM]
 *
 * The new TOTP secret lives in memory only until a code has confirmed it. */
#ifndef SALLYPORT_AUTH_GATEWAY_LOGIN_H
#define SALLYPORT_AUTH_GATEWAY_LOGIN_H

#include "auth/gateway_commands.h"

void gateway_login_start(struct gateway_channel *ch);
void gateway_login_input(struct gateway_channel *ch, struct bytes input);
void gateway_login_eof(struct gateway_channel *ch);
void gateway_login_free(struct gateway_login *login);

#endif
