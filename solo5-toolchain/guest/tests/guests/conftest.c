/* What a configure script tries to link. */
int main(void);

int main(void)
{
    return 0;
}
