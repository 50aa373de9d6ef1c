/* The loop of a microcontroller: the last readings of a sensor go through a net, ten times a second.
 *
 * On a board, this file and motor_net.h are a sketch: read_sensor() and show() do what the board does. On a computer,
 * readings come from the standard input:
 *
 *     gcc -std=c99 -Wall -Wextra -Werror -pedantic -DON_A_COMPUTER loop.c -o loop
 */
#include "motor_net.h"

enum { READINGS = MOTOR_N_IN, BETWEEN = 10 }; /* of the sensor, a hundred in a second; and between two answers */

float read_sensor(void);
void show(int state, float probability);
void loop(void);

static float readings[READINGS]; /* the oldest first */
static int missing = READINGS;   /* until the next answer */

void loop(void) {
    float probabilities[MOTOR_N_OUT];
    int state = 0;
    memmove(readings, readings + 1, sizeof readings - sizeof readings[0]);
    readings[READINGS - 1] = read_sensor();
    if (--missing > 0) return;
    missing = BETWEEN;
    if (motor_predict(readings, probabilities) != 0) return;
    for (int i = 1; i < MOTOR_N_OUT; i++)
        if (probabilities[i] > probabilities[state]) state = i;
    show(state, probabilities[state]);
}

#ifdef ON_A_COMPUTER
#include <stdio.h>
#include <stdlib.h>

float read_sensor(void) {
    float reading;
    if (scanf("%f", &reading) != 1) exit(0);
    return reading;
}

void show(int state, float probability) { printf("%d %.9g\n", state, (double)probability); }

int main(void) {
    for (;;) loop();
}
#endif
