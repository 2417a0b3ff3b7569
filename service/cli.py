def main(): print('x')
